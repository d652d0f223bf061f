import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  argumentError,
  type BuildOptions,
  type CheckedStepOptions,
  checkStepOptions,
  defineStep,
  Engine,
  Image,
  localDir,
  type StepOptions,
} from "../../src/index.js";
import { describeOneEngine } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-force-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2);
const stamp = (name: string): string => `cat /proc/sys/kernel/random/uuid > /${name}`;

/** A step that counts in a cache of its own how often it ran. */
const counted = defineStep({
  id: "counted",
  version: 1,
  validate({ cache, options }: { readonly cache: string; readonly options?: StepOptions }): {
    readonly cache: string;
    readonly options: CheckedStepOptions;
  } {
    if (cache === "") throw argumentError("counted", "needs a cache");
    return { cache, options: checkStepOptions("counted", options) };
  },
  title: () => "counted",
  options: ({ options }) => options,
  lower: (chain, { cache }, context) =>
    context.run(chain, {
      script: `echo x >> /cache/runs; wc -l < /cache/runs > /count; ${stamp("counted")}`,
      caches: [{ target: "/cache", id: cache, sharing: "locked" }],
    }),
});

describeOneEngine("older", "forcing", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, env: {} });
  });
  afterAll(() => engine.close());

  async function built(image: Image, options: BuildOptions = {}, by = engine) {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await by.build(image, { ...options, outputs: [localDir(out)] }).result;
    const read = (name: string): string => readFileSync(join(out, name), "utf8").trim();
    return { read, ran: result.cache.steps.filter(({ outcome }) => outcome === "ran").map(({ id }) => id) };
  }

  it("runs a step and all after it, though cached, and later builds get what they made (T12)", async () => {
    const tag = fresh();
    const chain = (forceBuild: boolean): Image =>
      Image.fromRegistry("busybox:latest")
        .runCommands(`: ${tag}; ${stamp("a")}`)
        .runCommands(`: ${tag}; ${stamp("b")}`, { forceBuild })
        .env({ X: "1" })
        .runCommands(`: ${tag}; ${stamp("c")}`);
    const first = await built(chain(false));
    const forced = await built(chain(true));
    expect(forced.ran).toEqual(["runCommands", "runCommands"]);
    expect(forced.read("a")).toBe(first.read("a"));
    expect(forced.read("b")).not.toBe(first.read("b"));
    expect(forced.read("c")).not.toBe(first.read("c"));
    const later = await built(chain(false));
    expect(later.ran).toEqual([]);
    expect([later.read("b"), later.read("c")]).toEqual([forced.read("b"), forced.read("c")]);
  });

  it("does not empty the caches that a forced step shares with other chains", async () => {
    const [tag, cache] = [fresh(), `kiln-test-${fresh()}`];
    const chain = (forceBuild: boolean): Image =>
      Image.fromRegistry("busybox:latest")
        .env({ TAG: tag })
        .step(counted, { cache, options: { forceBuild } })
        .runCommands(stamp("after"));
    const first = await built(chain(false));
    const forced = await built(chain(true));
    expect([first.read("count"), forced.read("count")]).toEqual(["1", "2"]);
    expect(forced.read("after")).not.toBe(first.read("after"));
    const later = await built(chain(false));
    expect([later.read("counted"), later.read("after")]).toEqual([
      forced.read("counted"),
      forced.read("after"),
    ]);
  });

  it("forces one of two equal steps with caches alone", async () => {
    const [tag, cache] = [fresh(), `kiln-test-${fresh()}`];
    const chain = (forceBuild: boolean): Image =>
      Image.fromRegistry("busybox:latest")
        .env({ TAG: tag })
        .step(counted, { cache })
        .runCommands("mv /counted /first")
        .step(counted, { cache, options: { forceBuild } });
    const first = await built(chain(false));
    const forced = await built(chain(true));
    expect(forced.read("first")).toBe(first.read("first"));
    expect(forced.read("counted")).not.toBe(first.read("counted"));
  });

  describe.each([
    ["an option", { forceBuild: true }, {}],
    ["KILN_FORCE_BUILD", {}, { KILN_FORCE_BUILD: "1" }],
    ["MODAL_FORCE_BUILD", {}, { MODAL_FORCE_BUILD: "true" }],
  ] as const)("by %s", (_title, options, env) => {
    it("runs the whole chain, for later builds too", async () => {
      const [tag, cache] = [fresh(), `kiln-test-${fresh()}`];
      const image = Image.fromRegistry("busybox:latest").env({ TAG: tag }).step(counted, { cache });
      await using forcing = await Engine.connect({ host: address, env });
      const first = await built(image);
      const forced = await built(image, options, forcing);
      expect(forced.read("counted")).not.toBe(first.read("counted"));
      expect(forced.read("count")).toBe("2");
      expect((await built(image)).read("counted")).toBe(forced.read("counted"));
    });
  });

  it.each([
    ["an option", { ignoreCache: true }, {}],
    ["KILN_IGNORE_CACHE", {}, { KILN_IGNORE_CACHE: "1", KILN_FORCE_BUILD: "1" }],
  ] as const)("ignores the cache by %s for one build alone", async (_title, options, env) => {
    const [tag, cache] = [fresh(), `kiln-test-${fresh()}`];
    const image = Image.fromRegistry("busybox:latest")
      .env({ TAG: tag })
      .step(counted, { cache })
      .runCommands(
        `{ env; ls /run/kiln 2>/dev/null; } | grep -ci "kiln\\|nonce" > /nonce || true; ${stamp("after")}`,
      );
    await using ignoring = await Engine.connect({ host: address, env });
    const first = await built(image);
    const apart = await built(image, options, ignoring);
    expect(apart.read("counted")).not.toBe(first.read("counted"));
    expect(apart.read("after")).not.toBe(first.read("after"));
    expect([apart.read("count"), apart.read("nonce")]).toEqual(["2", "0"]);
    const later = await built(image);
    expect([later.read("counted"), later.read("after")]).toEqual([
      first.read("counted"),
      first.read("after"),
    ]);
  });

  it("counts a variable that is empty, 0 or false as not set", async () => {
    const image = Image.fromRegistry("busybox:latest").runCommands(`: ${fresh()}; ${stamp("a")}`);
    const first = await built(image);
    await using plain = await Engine.connect({
      host: address,
      env: { KILN_FORCE_BUILD: "0", MODAL_FORCE_BUILD: "", KILN_IGNORE_CACHE: "false" },
    });
    expect((await built(image, {}, plain)).read("a")).toBe(first.read("a"));
  });

  it("runs what copies from a forced image", async () => {
    const tag = fresh();
    const chain = (forceBuild: boolean): Image => {
      const other = Image.fromRegistry("busybox:latest").runCommands(`: ${tag}; ${stamp("made")}`, {
        forceBuild,
      });
      return Image.fromRegistry("busybox:latest").copyFrom(other, "/made").runCommands(stamp("after"));
    };
    const first = await built(chain(false));
    const forced = await built(chain(true));
    expect(forced.read("made")).not.toBe(first.read("made"));
    expect(forced.read("after")).not.toBe(first.read("after"));
  });
});
