import { describe, expect, it } from "vitest";
import { explainChanges, explainSteps } from "../../../../src/cache/explain/explain.js";
import { findPrevious } from "../../../../src/cache/explain/find-previous.js";
import { forecastSteps } from "../../../../src/cache/explain/forecast.js";
import { stepCauses } from "../../../../src/cache/explain/step-causes.js";
import { Image } from "../../../../src/image/image.js";
import type { StoredBuild } from "../../../../src/model/build-record.js";
import type { StepFingerprint, StepInput } from "../../../../src/model/step-input.js";
import { expectForeseen, Recorder, textsOf } from "./recorder.js";
import type { Scene } from "./scene.js";

const chain = (...commands: readonly string[]): Scene => ({
  image: commands.reduce((image, command) => image.runCommands(command), Image.fromRegistry("busybox:1.37")),
  world: {},
});

const all = (kind: string, text: string, indices = [0, 1, 2]) =>
  Object.fromEntries(indices.map((index) => [index, [kind, text]]));

describe("a build", () => {
  it("is the first of its chain", async () => {
    const first = await new Recorder().build(chain("one", "two"));
    expect(textsOf(first.causes)).toEqual(all("first-build", "first build of this chain"));
    expectForeseen(first);
  });

  it("is the first on a daemon, whatever changed", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    const other = await recorder.build(chain("one", "2"), { daemon: "unix:///two" });
    expect(textsOf(other.causes)).toEqual(all("other-daemon", "first build on this daemon"));
    expectForeseen(other);
    const back = await recorder.build(chain("one", "2"));
    expect(textsOf(back.causes)).toEqual({ 2: ["arguments", 'command changed: "two" → "2"'] });
    expectForeseen(back);
  });

  it("says that the daemon lost what it had, and only then", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    recorder.daemon().prune();
    const pruned = await recorder.build(chain("one", "two"));
    expect(textsOf(pruned.causes)).toEqual(all("daemon-lost", "the daemon no longer had it"));
    recorder.daemon().prune();
    const changed = await recorder.build(chain("one", "2"));
    expect(textsOf(changed.causes)).toEqual({
      ...all("daemon-lost", "the daemon no longer had it", [0, 1]),
      2: ["arguments", 'command changed: "two" → "2"'],
    });
  });

  it("that undoes a change finds what was made before it", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    await recorder.build(chain("1", "two"));
    const undone = await recorder.build(chain("one", "two"));
    expect(undone.causes.size).toBe(0);
    expectForeseen(undone);
    recorder.daemon().prune();
    const lost = await recorder.build(chain("1", "two"));
    expect(textsOf(lost.causes)).toEqual(all("daemon-lost", "the daemon no longer had it"));
  });

  it("after a failed one runs what failed and what was not reached", async () => {
    const recorder = new Recorder();
    const failed = await recorder.build(chain("one", "two", "three"), { failsAt: 2 });
    expect(textsOf(failed.causes)).toEqual(all("first-build", "first build of this chain"));
    const again = await recorder.build(chain("one", "two", "three"));
    expect(textsOf(again.causes)).toEqual({
      2: ["failed-before", "it failed the last time"],
      3: ["failed-before", "step 3 runCommands failed the last time"],
    });
    expectForeseen(again);
  });

  it("after a failed one names what was changed to mend it", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two", "three"), { failsAt: 2 });
    const mended = await recorder.build(chain("one", "2", "three"));
    expect(textsOf(mended.causes)).toEqual({
      2: ["arguments", 'command changed: "two" → "2"'],
      3: ["earlier-step", "step 3 runCommands before it changed"],
    });
    expectForeseen(mended);
  });

  it("after a cancelled one runs what was cancelled and what was not reached", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two", "three"), { canceledAt: 2 });
    const again = await recorder.build(chain("one", "two", "three"));
    expect(textsOf(again.causes)).toEqual({
      2: ["failed-before", "it was cancelled the last time"],
      3: ["failed-before", "the last build was cancelled before it"],
    });
    expectForeseen(again);
  });

  it("is not compared with one of which nothing is recorded, if there is another", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    await recorder.build(chain("one", "2"), { killed: true });
    recorder.daemon().prune();
    const again = await recorder.build(chain("one", "2"));
    expect(textsOf(again.causes)[2]).toEqual(["arguments", 'command changed: "two" → "2"']);
  });

  it("that was forced for itself alone leaves later ones what was there before", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    const apart = await recorder.build({ ...chain("one", "two"), world: { nonce: "n1" } });
    expect(textsOf(apart.causes)).toEqual(all("forced", "forced", [1, 2]));
    expectForeseen(apart);
    const later = await recorder.build(chain("one", "two"));
    expect(later.causes.size).toBe(0);
    expectForeseen(later);
  });

  it("that was forced for itself alone leaves nothing to a daemon that had nothing", async () => {
    const recorder = new Recorder();
    await recorder.build({ ...chain("one"), world: { nonce: "n1" } });
    const later = await recorder.build(chain("one"));
    expect(later.causes.has(1)).toBe(true);
    expectForeseen(later);
  });

  it("uses what another chain made, and is compared with it where it has no past of its own", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"), { lineage: "a.ts" });
    const other = await recorder.build(chain("one", "2"), { lineage: "b.ts" });
    expect(textsOf(other.causes)).toEqual({ 2: ["arguments", 'command changed: "two" → "2"'] });
    expectForeseen(other);
  });

  it("names the first of several changes to steps that did not change", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two", "three", "four"));
    const changed = await recorder.build(chain("one", "2", "3", "four"));
    expect(textsOf(changed.causes)).toEqual({
      2: ["arguments", 'command changed: "two" → "2"'],
      3: ["arguments", 'command changed: "three" → "3"'],
      4: ["earlier-step", "step 3 runCommands before it changed"],
    });
  });

  it("leads what follows from a variable back to it, through what it made run", async () => {
    const scene = (value: string, label: string): Scene => ({
      image: Image.fromRegistry("busybox:1.37")
        .label({ a: label })
        .env({ A: value })
        .runCommands("one")
        .addLocalDir("src", "/src", { copy: true })
        .runCommands("two"),
      world: { files: { "src/a": "a" } },
    });
    const recorder = new Recorder();
    await recorder.build(scene("1", "1"));
    const changed = await recorder.build(scene("2", "2"));
    expect(textsOf(changed.causes)).toEqual(all("earlier-step", "step 3 env before it changed", [3, 4, 5]));
    expectForeseen(changed);
  });

  it("joins what changed in one step", async () => {
    const scene = (packages: readonly string[], pre: boolean, env: Record<string, string>): Scene => ({
      image: Image.fromRegistry("python:3.13").pipInstall([...packages], { pre, env }),
      world: {},
    });
    const recorder = new Recorder();
    await recorder.build(scene(["a"], false, { A: "1", B: "1", C: "1" }));
    const changed = await recorder.build(scene(["b"], true, { A: "2", B: "2", C: "1" }));
    expect(changed.causes.get(1)).toEqual({
      kind: "arguments",
      text: "packages changed: + b, − a; pip.pre added: true; env A changed: 1 → 2; … and 1 more change",
      names: ["packages", "pip.pre", "env.A", "env.B"],
    });
  });
});

/** A fingerprint as a newer or older package wrote it, or with what a scene cannot have. */
function altered(
  build: StoredBuild,
  change: (step: StepFingerprint) => Partial<StepFingerprint>,
): StoredBuild {
  return { ...build, fingerprints: build.fingerprints.map((step) => ({ ...step, ...change(step) })) };
}

function withInput(step: StepFingerprint, input: StepInput): readonly StepInput[] {
  const others = step.inputs.filter(({ kind, name }) => kind !== input.kind || name !== input.name);
  return [...others, input];
}

describe("a step's cause", () => {
  async function recorded(scene: Scene = chain("one", "two")): Promise<StoredBuild> {
    return (await new Recorder().build(scene)).build;
  }
  const judge = async (previous: StoredBuild, now: StoredBuild) =>
    explainSteps(
      now.steps.map((step) => ({ ...step, outcome: "ran" })),
      await stepCauses({
        ...{ fingerprints: now.fingerprints, previous, others: [previous], forcedFrom: undefined },
        daemon: now.daemon,
      }),
    );

  it("is another builder version where that makes it another step, and the steps before it elsewhere", async () => {
    const now = await recorded();
    const before = altered(now, (step) => ({
      inputs: withInput(step, { kind: "setting", name: "builderVersion", value: "2026.05" }),
      own: `${step.own} old`,
      work: step.index === 1 ? "old" : step.work,
      results: step.index === 0 ? step.results : ["old"],
    }));
    expect(textsOf(await judge(before, now))).toMatchObject({
      1: ["setting", "builder version changed: 2026.05 → 2026.11"],
      2: ["earlier-step", "step 2 runCommands before it changed"],
    });
  });

  it("is another version of the package where nothing else differs", async () => {
    const now = await recorded();
    const before = altered(now, (step) => ({
      inputs: withInput(step, { kind: "setting", name: "package", value: "0.0.9" }),
      work: `old ${step.work}`,
      results: ["old"],
    }));
    expect(textsOf(await judge(before, now))[1]).toEqual(["setting", "kiln changed: 0.0.9 → 0.1.0"]);
  });

  it("is no loss of the daemon's while something was not compared", async () => {
    const scene: Scene = {
      image: Image.fromRegistry("busybox:1.37")
        .addLocalDir("src", "/src", { copy: true })
        .runCommands("true"),
      world: { files: { "src/a": "a" } },
    };
    const now = await recorded(scene);
    const unknown = altered(now, (step) => ({
      inputs: step.inputs.map((input) => (input.kind === "tree" ? { ...input, value: "" } : input)),
    }));
    expect(textsOf(await judge(unknown, unknown))).toEqual({
      0: ["daemon-lost", "the daemon no longer had it"],
      1: ["files", "src may have changed"],
      2: ["files", "src may have changed"],
    });
    const moving = altered(now, (step) => ({
      inputs:
        step.index === 1
          ? withInput(step, { kind: "base", name: "https://x.test/a", value: "" })
          : step.inputs,
    }));
    expect(textsOf(await judge(moving, moving))[2]).toEqual([
      "base-changed",
      "https://x.test/a may have changed",
    ]);
  });

  it("is another way of sending files, if that is all", async () => {
    const scene: Scene = {
      image: Image.fromRegistry("busybox:1.37")
        .addLocalDir("src", "/src", { copy: true })
        .runCommands("true"),
      world: { files: { "src/a": "a" } },
    };
    const before = await recorded(scene);
    const way: StepInput = { kind: "setting", name: "way of src", value: "layers" };
    const now = altered(before, (step) => (step.index === 1 ? { inputs: withInput(step, way) } : {}));
    expect(textsOf(await judge(before, now))[2]).toEqual(["setting", "src is sent as layers now"]);
    expect(textsOf(await judge(now, before))[1]).toEqual(["setting", "src is sent file by file now"]);
    expect(textsOf(await judge(now, now))[2]).toEqual(["daemon-lost", "the daemon no longer had it"]);
  });

  it("of a base is no loss where the daemon may never have had its layers", async () => {
    const now = await recorded();
    const before = { ...now, steps: now.steps.map((step) => ({ ...step, outcome: "cached" as const })) };
    expect(textsOf(await judge(before, now))[0]).toEqual([
      "first-build",
      "the daemon had not unpacked its layers yet",
    ]);
  });

  it("of what came as layers is no loss where no command has run on it yet", async () => {
    const scene = (...commands: readonly string[]): Scene => ({
      image: commands.reduce(
        (image, command) => image.runCommands(command),
        Image.fromRegistry("busybox:1.37").addLocalDir("src", "/src", { copy: true }),
      ),
      world: { files: { "src/a": "a" } },
    });
    const way: StepInput = { kind: "setting", name: "way of src", value: "layers" };
    const layered = async (...commands: readonly string[]) =>
      altered(await recorded(scene(...commands)), (step) =>
        step.index === 1 ? { inputs: withInput(step, way) } : {},
      );
    const [exported, one, two] = [await layered(), await layered("one"), await layered("one", "two")];
    expect(textsOf(await judge(exported, one))).toMatchObject(
      all("first-build", "the daemon had not unpacked its layers yet", [0, 1]),
    );
    expect(textsOf(await judge(one, two))).toMatchObject(
      all("daemon-lost", "the daemon no longer had it", [0, 1, 2]),
    );
  });

  it("is found for fingerprints without digests of ops too", async () => {
    const bare = (build: StoredBuild) =>
      altered(build, () => ({ effect: undefined, work: undefined, results: undefined }));
    const [before, now] = [bare(await recorded()), bare(await recorded(chain("one", "2")))];
    expect(textsOf(await judge(before, now))).toEqual({
      ...all("daemon-lost", "the daemon no longer had it", [0, 1]),
      2: ["arguments", 'command changed: "two" → "2"'],
    });
  });

  it("between two builds is there for each step that makes something else, and for settings", async () => {
    const scene = (label: string, command: string): Scene => ({
      image: Image.fromRegistry("busybox:1.37").label({ a: label }).runCommands(command).runCommands("last"),
      world: {},
    });
    const [before, after] = [await recorded(scene("1", "one")), await recorded(scene("2", "two"))];
    expect(textsOf(await explainChanges(before, after))).toEqual({
      1: ["arguments", "label.a changed: 1 → 2"],
      2: ["arguments", 'command changed: "one" → "two"'],
      3: ["earlier-step", "step 3 runCommands before it changed"],
    });
    expect((await explainChanges(before, before)).size).toBe(0);
  });
});

describe("the build that another is compared with", () => {
  const wanted = { lineage: "recipe.ts", daemon: "unix:///one" };

  it("is the latest of its lineage on its daemon, for its platform", async () => {
    const recorder = new Recorder();
    const { build: first } = await recorder.build(chain("one"));
    const { build: arm } = await recorder.build({ ...chain("one"), world: { platform: "linux/arm64" } });
    await recorder.build(chain("one"), { daemon: "unix:///two" });
    await recorder.build(chain("one"), { lineage: "other.ts" });
    const { fingerprints } = first;
    expect(findPrevious(recorder.builds, { ...wanted, fingerprints })?.ref).toBe(first.ref);
    expect(findPrevious(recorder.builds, { ...wanted, fingerprints: arm.fingerprints })?.ref).toBe(arm.ref);
    const elsewhere = findPrevious(recorder.builds, { ...wanted, fingerprints, daemon: "unix:///three" });
    expect(elsewhere?.lineage).toBe("recipe.ts");
  });

  it("is else the one with most in common, and none where there is nothing", async () => {
    const recorder = new Recorder();
    const { build: short } = await recorder.build(chain("one"), { lineage: "a.ts" });
    const { build: long } = await recorder.build(chain("one", "two"), { lineage: "b.ts" });
    await recorder.build({ image: Image.fromRegistry("debian:12"), world: {} }, { lineage: "c.ts" });
    const { build } = await new Recorder().build(chain("one", "two", "three"));
    expect(findPrevious(recorder.builds, { ...wanted, fingerprints: build.fingerprints })?.ref).toBe(
      long.ref,
    );
    expect(findPrevious([short], { ...wanted, fingerprints: build.fingerprints })?.ref).toBe(short.ref);
    const { build: foreign } = await new Recorder().build({
      image: Image.fromRegistry("node:22"),
      world: {},
    });
    expect(findPrevious(recorder.builds, { ...wanted, fingerprints: foreign.fingerprints })).toBeUndefined();
    expect(findPrevious([], { ...wanted, fingerprints: build.fingerprints })).toBeUndefined();
  });
});

describe("a forecast", () => {
  const options = { forcedFrom: undefined, trees: [], noop: false, previous: undefined };

  it("says how long steps take: by runs of the same step here, elsewhere, or of its kind", async () => {
    const recorder = new Recorder();
    const { build } = await recorder.build(chain("one"));
    const timed = (ms: number, daemon = build.daemon): StoredBuild => ({
      ...build,
      daemon,
      steps: build.steps.map((step) => ({ ...step, outcome: "ran", durationMs: ms })),
    });
    const { fingerprints } = build;
    const forecast = async (others: readonly StoredBuild[], daemon = build.daemon) =>
      (await forecastSteps({ ...options, fingerprints, others, daemon, forcedFrom: 0 })).steps[1]?.expectedMs;
    expect(await forecast([timed(100), timed(500), timed(300), timed(9, "unix:///two")])).toBe(300);
    expect(await forecast([timed(100), timed(200)])).toBe(150);
    expect(await forecast([timed(100, "unix:///two")])).toBe(100);
    expect(await forecast([(await new Recorder().build(chain("other"))).build])).toBe(1000);
    expect(await forecast([])).toBeUndefined();
  });

  it("adds up what is known, and says what is not", async () => {
    const recorder = new Recorder();
    await recorder.build(chain("one", "two"));
    const { forecast } = await recorder.build({
      image: chain("one", "2").image.addLocalDir("src", "/src", { copy: true }).cmd(["sh"]),
      world: { files: { "src/a": "a" } },
    });
    expect(forecast).toMatchObject({ runs: 2, unknown: 1, expectedMs: 1000, bytesToSend: 0, noop: false });
    expect(forecast.steps.map(({ expect: what, expectedMs }) => [what, expectedMs])).toEqual([
      ["cached", 0],
      ["cached", 0],
      ["run", 1000],
      ["run", undefined],
      ["config", 0],
    ]);
  });

  it("adds up the bytes of trees that are sent, and knows none where one is not known", async () => {
    const { build } = await new Recorder().build(chain("one"));
    const { fingerprints, daemon } = build;
    const sent = async (
      ...trees: readonly { way: "local" | "layers" | "none"; bytes: number | undefined }[]
    ) =>
      (
        await forecastSteps({
          ...{ ...options, fingerprints, daemon, others: [build] },
          trees: trees.map((tree, index) => ({ path: `t${index}`, ...tree })),
        })
      ).bytesToSend;
    expect(
      await sent({ way: "local", bytes: 10 }, { way: "layers", bytes: 5 }, { way: "none", bytes: 7 }),
    ).toBe(15);
    expect(await sent({ way: "local", bytes: undefined })).toBeUndefined();
    expect(await sent({ way: "none", bytes: undefined })).toBe(0);
  });

  it("of a build that is there already runs nothing", async () => {
    const { build } = await new Recorder().build(chain("one"));
    const { fingerprints, daemon } = build;
    const forecast = await forecastSteps({
      ...{ ...options, fingerprints, daemon, others: [], noop: true },
      trees: [{ path: "src", way: "local", bytes: 10 }],
    });
    expect(forecast).toMatchObject({ runs: 0, expectedMs: 0, bytesToSend: 0, noop: true });
  });
});
