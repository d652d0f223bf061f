import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCacheIndex } from "../../src/cache/cache-index.js";
import { asStoredBuild } from "../../src/cache/stored-build.js";
import { Image, ociLayout, Secret } from "../../src/index.js";
import { custom, type Edit, edits, plain } from "../unit/cache/edits.js";
import type { Scene } from "../unit/cache/scene.js";
import { type CarriedOut, Stage } from "./support/carried-out.js";
import { describeOneEngine } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";
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
    it.concurrent.each(possible.map((edit, index) => [edit.name, edit, `edit-${index}`] as const))(
      "%s is foreseen, and said afterwards",
      async (_name, edit, own) => {
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
      },
    );
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

  it.concurrent("is told alike where a tree goes as layers, solved or appended", async () => {
    await using stage = await open("layers");
    const many = Object.fromEntries(
      Array.from({ length: 1100 }, (_, at) => [`src/d${at % 9}/f${at}`, `${at}`]),
    );
    const copied = Image.fromRegistry("busybox:latest").addLocalDir("src", "/src", { copy: true });
    for (const [image, outputs] of [
      [copied.runCommands("ls /src > /listed"), []],
      [copied, [ociLayout(join(dir, "layers", "out"))]],
    ] as const) {
      const edited = { ...many, "src/d0/f0": `other ${outputs.length}` };
      await stage.build(scene(image, { files: many }), { outputs });
      const changed = await stage.carryOut(scene(image, { files: edited }), { outputs });
      expect(causesOf(changed)).toEqual({
        1: ["files", "1 of 1,100 files changed: d0/f0"],
        ...(outputs.length === 0 ? { 2: ["earlier-step", "step 2 addLocalDir before it changed"] } : {}),
      });
      expect(changed.foreseen).toEqual(changed.happened);
      expect(changed.explained).toEqual(changed.happened);
    }
  });

  it.concurrent("is said by kiln plan, kiln build and kiln explain in the same words", async () => {
    await using stage = await open("cli");
    await stage.set(scene(commands(": one")));
    const place = join(dir, "cli");
    const recipe = join(place, "recipe.mjs");
    const write = (body: string): void =>
      writeFileSync(
        recipe,
        `import { Image } from ${JSON.stringify(fileURLToPath(new URL("../../dist/index.js", import.meta.url)))};
const base = Image.fromRegistry(${JSON.stringify(`${bases.mirror("cli")}/library/busybox:latest`)});
export default base${body};
`,
      );
    const kiln = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await runCli(args, { env: stage.env, cwd: place });
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    };
    const build = async (): Promise<string> =>
      JSON.parse(await kiln("build", recipe, "--host", address, "--json")).ref;
    write('.runCommands("echo 1 > /a").runCommands("echo 2 > /b")');
    const first = await build();
    write('.env({ A: "1" }).runCommands("echo 1 > /a").runCommands("echo 3 > /b")');
    const told = ["step 2 env before it is new", 'command changed: "echo 2 > /b" → "echo 3 > /b"'];
    const plan = await kiln("plan", recipe, "--host", address);
    for (const text of told) expect(plan).toContain(text);
    const second = await build();
    const explained = await kiln("explain");
    expect(explained).toContain(`build ${second} of `);
    for (const text of told) expect(explained).toContain(text);
    expect(await kiln("explain", first.slice(0, 8))).toContain("first build of this chain");
    const between = await kiln("explain", first, second);
    expect(between).toContain(`beside ${first} of `);
    for (const text of told) expect(between).toContain(text);
    // The other way round, as no build was.
    const back = JSON.parse(await kiln("explain", second, first, "--json"));
    expect(back.steps.map(({ cause }: { cause?: { text: string } }) => cause?.text)).toEqual([
      undefined,
      "step 2 env before it was removed",
      'command changed: "echo 3 > /b" → "echo 2 > /b"',
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
      all("daemon-lost", "the daemon no longer had it", Object.keys(causes).map(Number)),
    );
    expect(again.foreseen.map(([what]) => what)).toEqual(["cached", "cached", "cached"]);
    expect(again.explained).toEqual(again.happened);
  });
});
