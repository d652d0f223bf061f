import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCacheIndex } from "../../src/cache/cache-index.js";
import { asStoredBuild } from "../../src/cache/stored-build.js";
import { Image, Secret } from "../../src/index.js";
import { custom, type Edit, edits, plain } from "../unit/cache/edits.js";
import type { Scene } from "../unit/cache/scene.js";
import { type CarriedOut, Stage } from "./support/carried-out.js";
import { describeOneEngine } from "./support/engines.js";
import { inSoak, itLong } from "./support/long-tests.js";
import { StandInBases } from "./support/stand-in-bases.js";

let dir: string;
let bases: StandInBases;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-explain-"));
  bases = await StandInBases.open();
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Why each step ran, as kind and text by index. */
function causesOf({ happened }: CarriedOut): Readonly<Record<number, readonly unknown[]>> {
  return Object.fromEntries(
    happened.flatMap(([what, cause], index) =>
      what === "run" ? [[index, [cause?.kind, cause?.text]] as const] : [],
    ),
  );
}

/** The same for some steps alike. */
const all = (kind: string, text: string, indices: readonly number[]) =>
  Object.fromEntries(indices.map((index) => [index, [kind, text]]));

const scene = (image: Image, world: Scene["world"] = {}): Scene => ({ image, world });

const commands = (...lines: readonly string[]): Image =>
  lines.reduce((image, line) => image.runCommands(line), Image.fromRegistry("busybox:latest"));

describeOneEngine("older", "why steps run", ({ address }) => {
  const open = (at: string, own = at, platforms?: readonly string[]): Promise<Stage> =>
    Stage.open({ address, bases, at, dir: join(dir, own), platforms });

  /** Most edits start from one chain, which need not be built for each. */
  function placeOf({ before, runs, needs }: Edit, own: string): string {
    const alone = needs !== undefined || Object.values(runs).some(([kind]) => kind === "forced");
    return before === plain && !alone ? "plain" : own;
  }

  describe("after a change of", () => {
    const possible = edits.filter(({ needs }) => needs !== "device");
    const named = possible.map((edit, index) => [edit.name, edit, `edit-${index}`] as const);
    const told = async (_name: string, edit: Edit, own: string): Promise<void> => {
      const { before, after, runs, needs } = edit;
      const platforms = needs === "platform" ? ["linux/amd64", "linux/arm64"] : undefined;
      await using stage = await open(placeOf(edit, own), own, platforms);
      await stage.build(before);
      const carriedOut = await stage.carryOut(after);
      expect(causesOf(carriedOut)).toEqual(
        Object.fromEntries(
          Object.entries(runs).map(([at, [kind, text]]) => [
            at,
            [kind, typeof text === "string" ? text : expect.stringMatching(text)],
          ]),
        ),
      );
      expect(carriedOut.foreseen).toEqual(carriedOut.happened);
      expect(carriedOut.explained).toEqual(carriedOut.happened);
    };
    it.concurrent.each(named.slice(0, 44))("%s is foreseen, and said afterwards", told);
    itLong.concurrent.each(named.slice(44))(`%s is foreseen, and said afterwards ${inSoak}`, told);
  });

  it.concurrent("is nothing after an edit that is undone", async () => {
    await using stage = await open("undone");
    const other = scene(plain.image, { files: { ...plain.world.files, "src/app.py": "print(2)" } });
    const first = await stage.carryOut(plain);
    expect(causesOf(first)).toEqual(all("first-build", "first build of this chain", [0, 2, 3, 4]));
    expect(first.foreseen).toEqual(first.happened);
    expect(Object.keys(causesOf(await stage.carryOut(other)))).toEqual(["3", "4"]);
    const undone = await stage.carryOut(plain);
    expect(causesOf(undone)).toEqual({});
    expect(undone.foreseen).toEqual(undone.happened);
  });

  it.concurrent("is that they were forced for one build alone, and nothing afterwards", async () => {
    await using stage = await open("apart");
    const image = commands(": one", ": two");
    await stage.build(scene(image));
    const apart = await stage.carryOut(scene(image, { nonce: "any" }));
    expect(causesOf(apart)).toEqual(all("forced", "forced", [1, 2]));
    expect(apart.foreseen).toEqual(apart.happened);
    const later = await stage.carryOut(scene(image));
    expect(causesOf(later)).toEqual({});
    expect(later.foreseen).toEqual(later.happened);
  });

  it.concurrent("is that they failed before, or were not reached", async () => {
    await using stage = await open("failed");
    const image = commands(": one")
      .runCommands('test "$TOKEN" = right', { secrets: [Secret.fromEnv("TOKEN")] })
      .runCommands(": three");
    stage.env["TOKEN"] = "wrong";
    await expect(stage.build(scene(image))).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
    stage.env["TOKEN"] = "right";
    const mended = await stage.carryOut(scene(image));
    expect(causesOf(mended)).toEqual({
      2: ["failed-before", "it failed the last time"],
      3: ["failed-before", "step 3 runCommands failed the last time"],
    });
    expect(mended.foreseen).toEqual(mended.happened);
  });

  it.concurrent("is that the daemon no longer had them, which no forecast can know", async () => {
    await using stage = await open("lost");
    const mark = Math.random().toString(36).slice(2);
    const image = commands(": one", `echo ${mark} > /mark`);
    await stage.build(scene(image));
    const client = await stage.engine.client();
    const { records } = await client.diskUsage();
    const made = records.filter(({ description }) => description.includes(mark));
    // No filter would prune all.
    expect(made.length).toBeGreaterThan(0);
    const { records: removed } = await client.prune({ filter: made.map(({ id }) => ({ id })) });
    expect(removed.length).toBeGreaterThan(0);
    const again = await stage.carryOut(scene(image));
    expect(causesOf(again)).toEqual({ 2: ["daemon-lost", "the daemon no longer had it"] });
    expect(again.foreseen.map(([what]) => what)).toEqual(["cached", "cached", "cached"]);
    expect(again.explained).toEqual(again.happened);
  });

  // There is one epoch, and one version of the package: what an older one did is written into its record.
  it.concurrent.each([
    ["another builder version", "builderVersion", "builder version changed: 2026.05 → 2026.11"],
    ["another version of the package", "package", "kiln changed: 0.0.9 → 0.1.0"],
  ])("is %s where it makes steps others", async (_name, setting, text) => {
    await using stage = await open(setting.toLowerCase());
    const image = (command: string): Image =>
      Image.fromRegistry("busybox:latest").step(custom(1, command), { level: 1 }).runCommands("true");
    const { ref } = await stage.build(scene(image("echo")));
    const index = openCacheIndex({ cacheDir: stage.env["KILN_CACHE_DIR"] ?? "", env: {} });
    const build = asStoredBuild(await index.read("builds", ref));
    expect(build).toBeDefined();
    const older = { builderVersion: "2026.05", package: "0.0.9" }[setting];
    const fingerprints = build?.fingerprints.map((step) => ({
      ...step,
      inputs: step.inputs.map((input) =>
        input.kind === "setting" && input.name === setting ? { ...input, value: older } : input,
      ),
    }));
    await index.write("builds", ref, { ...build, fingerprints });
    const updated = await stage.carryOut(scene(image("printf")));
    expect(causesOf(updated)).toEqual({
      1: ["setting", text],
      2: ["earlier-step", "step 2 custom before it changed"],
    });
    expect(updated.foreseen).toEqual(updated.happened);
    expect(updated.explained).toEqual(updated.happened);
  });
});
