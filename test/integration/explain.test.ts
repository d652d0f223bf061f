import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCacheIndex } from "../../src/cache/records/cache-index.js";
import { asStoredBuild } from "../../src/cache/records/stored-build.js";
import { Image, Secret } from "../../src/index.js";
import { custom, plain } from "../unit/cache/explain/edits.js";
import type { Scene } from "../unit/cache/explain/scene.js";
import { carryOutEdit, tellingEdits } from "./support/carry-out-edit.js";
import { describeOneEngine } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";
import { alike, causesOf, Stage } from "./support/stage.js";
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

const scene = (image: Image, world: Scene["world"] = {}): Scene => ({ image, world });

const commands = (...lines: readonly string[]): Image =>
  lines.reduce((image, line) => image.runCommands(line), Image.fromRegistry("busybox:latest"));

/** What the CLI tells as JSON of a build or a plan. */
interface Told {
  readonly ref: string;
  readonly steps: readonly { readonly cause?: { readonly text: string } }[];
}

describeOneEngine("older", "why steps run", ({ address }) => {
  const open = (name: string): Promise<Stage> =>
    Stage.open({ address, bases, at: name, dir: join(dir, name) });

  describe("after a change of", () => {
    it("something run is one of at least forty", () => {
      const running = tellingEdits.filter(([, { runs }]) => Object.keys(runs).length > 0);
      expect(running.length).toBeGreaterThanOrEqual(40);
    });

    it.concurrent.each(tellingEdits)("%s is foreseen, and said afterwards", async (_name, edit, own) => {
      await carryOutEdit(edit, { address, bases, at: own, dir: join(dir, own) });
    });
  });

  it.concurrent("is nothing after an edit that is undone", async () => {
    await using stage = await open("undone");
    const other = scene(plain.image, { files: { ...plain.world.files, "src/app.py": "print(2)" } });
    const first = await stage.carryOut(plain);
    expect(causesOf(first)).toEqual(alike("first-build", "first build of this chain", [0, 2, 3, 4]));
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
    expect(causesOf(apart)).toEqual(alike("forced", "forced", [1, 2]));
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

  it.concurrent("is said by kiln plan, kiln build and kiln explain in the same words", async () => {
    await using stage = await open("cli");
    const many = Object.fromEntries(
      Array.from({ length: 1100 }, (_, at) => [`src/d${at % 9}/f${at}`, `${at}`]),
    );
    const { cwd = "" } = await stage.set(scene(commands(": any"), { files: many }));
    const recipe = join(cwd, "recipe.mjs");
    const write = (command: string): void =>
      writeFileSync(
        recipe,
        `import { Image } from ${JSON.stringify(fileURLToPath(new URL("../../dist/index.js", import.meta.url)))};
export default Image.fromRegistry(${JSON.stringify(`${bases.mirror("cli")}/library/busybox:latest`)})
  .addLocalDir("src", "/src", { copy: true })
  .runCommands(${JSON.stringify(command)});
`,
      );
    const kiln = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await runCli(args, { env: stage.env, cwd });
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    };
    const json = async (...args: readonly string[]): Promise<Told> =>
      JSON.parse(await kiln(...args, "--json"));
    const textsOf = ({ steps }: Told) => steps.map(({ cause }) => cause?.text);
    write("echo 1 > /a");
    const first = await json("build", recipe, "--host", address);
    expect(textsOf(first)).toEqual(Array(3).fill("first build of this chain"));
    write("echo 2 > /a");
    await stage.set(scene(plain.image, { files: { ...many, "src/d0/f0": "other" } }));
    const told = ["1 of 1,100 files changed: d0/f0", 'command changed: "echo 1 > /a" → "echo 2 > /a"'];
    const plan = await kiln("plan", recipe, "--host", address);
    expect(plan).toContain("src as layers");
    for (const text of told) expect(plan).toContain(text);
    expect(textsOf(await json("plan", recipe, "--host", address))).toEqual([undefined, ...told]);
    const second = await json("build", recipe, "--host", address);
    expect(textsOf(second)).toEqual([undefined, ...told]);
    const explained = await kiln("explain");
    expect(explained).toContain(`build ${second.ref} of `);
    for (const text of told) expect(explained).toContain(text);
    expect(await kiln("explain", first.ref.slice(0, 8))).toContain("first build of this chain");
    const between = await kiln("explain", first.ref, second.ref);
    expect(between).toContain(`beside ${first.ref} of `);
    for (const text of told) expect(between).toContain(text);
    // The other way round, as no build was.
    expect(textsOf(await json("explain", second.ref, first.ref))).toEqual([
      undefined,
      "1 of 1,100 files changed: d0/f0",
      'command changed: "echo 2 > /a" → "echo 1 > /a"',
    ]);
  });

  // On its own: after a prune, of whatever, daemons may know no more what else they have.
  it("is that the daemon no longer had them, which no forecast can know", async () => {
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
    const causes = causesOf(again);
    expect(causes).toHaveProperty("2");
    expect(causes).toEqual(
      alike("daemon-lost", "the daemon no longer had it", Object.keys(causes).map(Number)),
    );
    expect(again.foreseen.map(([what]) => what)).toEqual(["cached", "cached", "cached"]);
    expect(again.explained).toEqual(again.happened);
  });
});
