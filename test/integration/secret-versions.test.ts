import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildEvent, Engine, Image, localDir, type Output, ociLayout, Secret } from "../../src/index.js";
import { describeOneEngine } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-secret-versions-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2);

describeOneEngine("modern", "secrets whose values count", ({ address }) => {
  /** Builds as a process of its own would: nothing is shared but the data directory. */
  async function built(
    image: Image,
    token: string,
    { data = "data", outputs = [] }: { data?: string; outputs?: readonly Output[] } = {},
  ) {
    await using engine = await Engine.connect({
      host: address,
      env: { KILN_DATA_DIR: join(dir, data), TOKEN: token },
    });
    const out = mkdtempSync(join(dir, "out-"));
    const build = engine.build(image, { outputs: [localDir(out), ...outputs] });
    const events: BuildEvent[] = [];
    for await (const event of build) events.push(event);
    const { cache, digest = "" } = await build.result;
    return {
      events,
      digest,
      ran: cache.steps.flatMap(({ outcome, title }) => (outcome === "ran" ? [title] : [])),
      read: (name: string): string => readFileSync(join(out, name), "utf8").trim(),
    };
  }

  it("have steps run again for another value alone, and leave no trace", async () => {
    const tag = fresh();
    const secret = Secret.fromEnv("TOKEN");
    const secrets = [secret.versioned()];
    const image = Image.fromRegistry("busybox:latest")
      .runCommands(`: ${tag}; echo "$TOKEN" > /plain`, { secrets: [secret], name: "plain" })
      .runCommands('echo "$TOKEN" > /one; env; mount; ls -aR /run || true', { secrets, name: "one" })
      .dockerfileCommands(["RUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN > /two"], {
        ...{ secrets, name: "two" },
      });
    const counting = ["one", "two"];
    const layout = join(dir, "layout");
    const first = await built(image, "first value", { outputs: [ociLayout(layout)] });
    expect(first.ran).toEqual(["plain", ...counting]);
    expect(counting.map(first.read)).toEqual(Array(2).fill("first value"));
    const rotated = await built(image, "second value");
    expect(rotated.ran).toEqual(counting);
    expect(["plain", ...counting].map(rotated.read)).toEqual([
      "first value",
      ...Array(2).fill("second value"),
    ]);
    const back = await built(image, "first value");
    expect(back.ran).toEqual([]);
    expect(back.read("two")).toBe("first value");
    // Another key, as on another machine.
    expect((await built(image, "first value", { data: "other data" })).ran).toEqual(counting);
    const told = JSON.stringify(first.events);
    expect(told).toContain("TOKEN=***");
    const blob = (of: string): string => readFileSync(join(layout, "blobs", ...of.split(":")), "utf8");
    const manifest = blob(first.digest);
    const config = blob(JSON.parse(manifest).config.digest);
    expect(config).toContain(tag);
    for (const text of [told, manifest, config]) {
      expect(text).not.toMatch(/version\.[0-9a-f]{32}|run\/kiln|first value/);
    }
  });
});
