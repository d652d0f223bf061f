import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Image, ociLayout, registry as registryOutput } from "../../src/index.js";
import { countingProxy } from "./support/counting-proxy.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { fresh, pinned, type SeenBuild, Workbench } from "./support/rebuild.js";
import { type ReadImage, readLayoutImage, readRegistryImage } from "./support/registry-image.js";
import { makeRichTree, type RichTree } from "./support/rich-tree.js";
import { expectSame } from "./support/same-image.js";

const off = { env: { KILN_CACHE: "off" } };
const target = "opt/app/data";

describeEachEngine("an image with a directory of 3,000 files", ({ name, address }) => {
  let bench: Workbench;
  let tree: RichTree;
  let copied: Image;
  /** As it is where nothing but the daemon's copy of files is used. */
  let plain: ReadImage;
  let plainAfter: ReadImage;

  beforeAll(async () => {
    bench = new Workbench(address);
    tree = makeRichTree();
    copied = Image.fromRegistry(await pinned("library/busybox", "1.36"))
      .runCommands(`echo ${fresh()} > /before`)
      .env({ GREETING: "hello" })
      .workdir("/opt/app")
      .addLocalDir(tree.dir, `/${target}`, { copy: true })
      .label({ kind: "test" })
      .user("1000:1000")
      .cmd(["echo", "$GREETING"]);
    const [out, after] = [bench.place("off"), bench.place("off")];
    await bench.build(copied, { outputs: [ociLayout(out)] }, off);
    await bench.build(withCommand(copied), { outputs: [ociLayout(after)] }, off);
    plain = await readLayoutImage(out);
    plainAfter = await readLayoutImage(after);
    expect(plain.files.get(`${target}/setuid`)).toMatchObject({ mode: 0o4755, uid: 0, mtime: 315_532_802 });
  });
  afterAll(() => {
    rmSync(tree.dir, { recursive: true, force: true });
    bench.remove();
  });

  const withCommand = (image: Image): Image => image.runCommands("echo after > /after");
  const isAppended = ({ verified, vertices }: SeenBuild): boolean => !verified && vertices === 0;

  it("is the same when files are sent one by one, and when the directory goes as layers", async () => {
    const [local, layers] = [bench.place("local"), bench.place("layers")];
    // Layers made here are gzip: for others the daemon has to copy the files.
    await bench.build(copied, { outputs: [ociLayout(local, { compression: "zstd" })] });
    const byFile = await readLayoutImage(local);
    expect(byFile.manifest.layers).toHaveLength(plain.manifest.layers.length);
    expectSame(byFile, plain);
    await bench.build(withCommand(copied), { outputs: [ociLayout(layers)] });
    const byLayers = await readLayoutImage(layers);
    expect(byLayers.manifest.layers.length).toBeGreaterThan(plainAfter.manifest.layers.length);
    expectSame(byLayers, plainAfter);
  });

  it("does not come back from the daemon where its layers are here, and its layout is whole", async () => {
    const dir = bench.place("random");
    mkdirSync(dir);
    for (let file = 0; file < 1_000; file += 1) writeFileSync(join(dir, `f${file}`), `${file}\n`);
    writeFileSync(join(dir, "random"), randomBytes(3_000_000));
    await using proxy = await countingProxy(join(bench.dir, "daemon.sock"), address);
    const near = new Workbench(proxy.address);
    const image = Image.fromRegistry(await pinned("library/busybox", "1.36"))
      .addLocalDir(dir, "/app", { copy: true })
      .runCommands(`echo ${fresh()} > /after`);
    const receivedBy = async (build: () => Promise<unknown>): Promise<number> => {
      const before = proxy.received();
      await build();
      return proxy.received() - before;
    };
    try {
      const [out, again, plainOut] = [near.place("out"), near.place("again"), near.place("off")];
      const layers = await receivedBy(() => near.build(image, { outputs: [ociLayout(out)] }));
      const known = await receivedBy(() => near.build(image, { outputs: [ociLayout(again)] }));
      const byFile = await receivedBy(() => near.build(image, { outputs: [ociLayout(plainOut)] }, off));
      // Base and command come from the daemon in any case.
      expect(byFile - layers).toBeGreaterThan(2_900_000);
      expect(byFile - known).toBeGreaterThan(2_900_000);
      const wanted = await readLayoutImage(plainOut);
      for (const place of [out, again]) expectSame(await readLayoutImage(place), wanted);
    } finally {
      near.remove();
    }
  });

  it("is the same when its layers are put beside those that are there, without a solve", async () => {
    const out = bench.place("layout");
    const tag = `${registry()}/ways/${name}-${fresh()}:1`;
    await bench.build(copied, { outputs: [ociLayout(out)] });
    await bench.build(copied, { outputs: [registryOutput(tag)] });
    const [first, pushed] = [await readLayoutImage(out), await readRegistryImage(tag)];
    expect(first.manifest.layers.length).toBeGreaterThan(plain.manifest.layers.length);
    for (const image of [first, pushed]) expectSame(image, plain);
    const file = join("dir7", "file5.txt");
    appendFileSync(join(tree.dir, file), "edited");
    expect(await bench.build(copied, { outputs: [ociLayout(out)] })).toSatisfy(isAppended);
    expect(await bench.build(copied, { outputs: [registryOutput(tag)] })).toSatisfy(isAppended);
    const reference = bench.place("off");
    await bench.build(copied, { outputs: [ociLayout(reference)] }, off);
    const edited = await readLayoutImage(reference);
    expect(edited.files.get(`${target}/${file}`)).not.toEqual(plain.files.get(`${target}/${file}`));
    for (const image of [await readLayoutImage(out), await readRegistryImage(tag)]) {
      expectSame(image, edited);
    }
    expect((await readRegistryImage(tag)).manifest.layers.map(({ digest }) => digest)).toEqual(
      (await readLayoutImage(out)).manifest.layers.map(({ digest }) => digest),
    );
  });
});
