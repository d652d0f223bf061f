import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildOptions, Engine, Image, localDir, type Mirrors } from "../../src/index.js";
import { baseLayout, describeOneEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-context-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2);

describeOneEngine("modern", "what a chain is built with", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, env: {} });
  });
  afterAll(() => engine.close());

  async function built(image: Image, options: BuildOptions = {}, by = engine) {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await by.build(image, { ...options, outputs: [localDir(out)] }).result;
    return { result, read: (name: string): string => readFileSync(join(out, name), "utf8").trim() };
  }

  it.each([
    ["another registry", "library/busybox:1.36", (): Mirrors => ({ "registry.invalid": registry() })],
    [
      "a part of another registry",
      "library/busybox:1.36",
      (): Mirrors => ({
        "registry.invalid": "nowhere.invalid",
        "registry.invalid/library": `${registry()}/library`,
      }),
    ],
    [
      "another repository",
      "a/b:1.36",
      (): Mirrors => ({ "registry.invalid/a/b": `${registry()}/library/busybox` }),
    ],
    [
      "an OCI layout",
      "a/b:latest",
      (): Mirrors => ({ "registry.invalid/a/b": `oci-layout:${baseLayout("busybox")}` }),
    ],
  ])("takes bases from a mirror: %s", async (_title, name, mirrors) => {
    const image = Image.fromRegistry(`registry.invalid/${name}`).runCommands("busybox | head -1 > /out");
    await using mirrored = await Engine.connect({ host: address, env: {}, mirrors: mirrors() });
    expect((await built(image, {}, mirrored)).read("out")).toMatch(/^BusyBox/);
  });

  it("names the mirror and what it has when a base is not there", async () => {
    await using mirrored = await Engine.connect({
      host: address,
      mirrors: { "docker.io": `oci-layout:${baseLayout("busybox")}` },
    });
    await expect(mirrored.build(Image.fromRegistry("debian:12")).result).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      message: expect.stringContaining("docker.io/library/debian:12"),
      hint: expect.stringContaining("latest"),
      location: { file: expect.stringContaining("chain-context.test.ts") },
    });
    await using other = await Engine.connect({
      host: address,
      mirrors: { "docker.io": `${registry()}/nothing` },
    });
    await expect(other.build(Image.fromRegistry("debian:12")).result).rejects.toMatchObject({
      message: expect.stringMatching(/docker\.io\/library\/debian:12 \(at the mirror .*nothing/),
    });
  });

  it("stops a step that takes longer than it may, and names it", async () => {
    const image = Image.fromRegistry("busybox:latest")
      .runCommands(`echo before; : ${fresh()}`)
      .runCommands(`echo waiting; sleep 120; : ${fresh()}`, { timeoutMs: 1500 });
    const begun = performance.now();
    await expect(engine.build(image).result).rejects.toMatchObject({
      code: "ERR_KILN_STEP_TIMEOUT",
      message: expect.stringContaining("step 3 took longer than 1500 ms"),
      location: { file: expect.stringContaining("chain-context.test.ts") },
    });
    expect(performance.now() - begun).toBeLessThan(60_000);
    // The daemon has stopped it: the same command can run at once, and within its limit ends well.
    const quick = Image.fromRegistry("busybox:latest").runCommands(`echo done > /out; : ${fresh()}`, {
      timeoutMs: 100_000,
    });
    expect((await built(quick)).read("out")).toBe("done");
  });

  it("copies out of other chains, owners, modes and links as they are", async () => {
    const tool = Image.fromRegistry("busybox:latest").runCommands(
      `mkdir -p /tool/bin; echo ${fresh()} > /tool/bin/a; chown 7:8 /tool/bin/a; chmod 4750 /tool/bin/a; ln -s a /tool/bin/b`,
    );
    const image = Image.fromRegistry("busybox:latest")
      .copyFrom(tool, "/tool/bin", "/opt/bin")
      .copyFrom(tool, "/tool/bin/a", "/single/")
      .copyFrom(tool, "/tool/bin/a")
      .runCommands("{ stat -c '%a %u:%g' /opt/bin/a /single/a /tool/bin/a; readlink /opt/bin/b; } > /out");
    const { read, result } = await built(image);
    expect(read("out")).toBe("4750 7:8\n4750 7:8\n4750 7:8\na");
    const titles = result.steps.map(({ title, outcome }) => [title, outcome]);
    expect(titles[1]).toEqual(["copyFrom /tool/bin → /opt/bin", "ran"]);
  });

  it("plans what it would run, and runs nothing", async () => {
    const image = Image.fromRegistry("busybox:latest")
      .env({ A: "1" })
      .runCommands(`echo $A; exit 1; : plan`, { secrets: [], timeoutMs: 5 });
    const first = await engine.plan(image);
    expect(first.steps.map(({ id, timeoutMs }) => [id, timeoutMs])).toEqual([
      ["fromRegistry", undefined],
      ["env", undefined],
      ["runCommands", 5],
    ]);
    expect(first.toSnapshot()).toContain("exec ");
    expect((await engine.plan(image)).toSnapshot()).toBe(first.toSnapshot());
    expect((await engine.plan(image, { ignoreCache: true })).toSnapshot()).toContain("<nonce>");
    await expect(engine.plan(image, { platform: "linux/nowhere" })).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_KILN_/),
    });
  });

  it.each([
    ["forceBuild", { forceBuild: "yes" }],
    ["ignoreCache", { ignoreCache: 1 }],
    ["caBundle", { caBundle: "" }],
    ["builderVersion", { builderVersion: "2001.01" }],
  ])("refuses a wrong %s at the call", (_name, options) => {
    expect(() => engine.build(Image.fromScratch(), options as BuildOptions)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }),
    );
  });
});
