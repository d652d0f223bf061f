import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AddLocalDirOptions, Image, ociLayout, registry as registryOutput } from "../../src/index.js";
import { describeEachEngine, describeOneEngine, registry } from "./support/engines.js";
import { fresh, pinned, type SeenBuild, Workbench } from "./support/rebuild.js";
import {
  type ImageFile,
  type ReadImage,
  readLayoutImage,
  readRegistryImage,
} from "./support/registry-image.js";
import { makeRichTree, type RichTree } from "./support/rich-tree.js";

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

describeOneEngine("modern", "an image with directories of 1,100 files", ({ address }) => {
  let bench: Workbench;
  let base: Image;
  let one: string;
  let two: string;

  beforeAll(async () => {
    bench = new Workbench(address);
    base = Image.fromRegistry(await pinned("library/busybox", "1.36")).runCommands(
      `mkdir -p /real /full; echo there > /full/there; ln -s /real /linked; ln -s ../real /full/up; : ${fresh()}`,
    );
    const make = (mark: string): string => {
      const dir = bench.project(
        Object.fromEntries(
          Array.from({ length: 1_100 }, (_, at) => [`bin/d${at % 9}/${mark}${at}`, `content ${at}`]),
        ),
      );
      // Else a daemon that has built this before copies nothing.
      writeFileSync(join(dir, "nonce"), fresh());
      mkdirSync(join(dir, "empty"));
      chmodSync(join(dir, "empty"), 0o750);
      chmodSync(join(dir, "bin", "d1", `${mark}1`), 0o2700);
      symlinkSync("bin", join(dir, "link"));
      linkSync(join(dir, "bin", "d2", `${mark}2`), join(dir, "hard"));
      utimesSync(join(dir, "bin", "d3", `${mark}3`), 1_000_000_000, 1_000_000_000.5);
      chmodSync(dir, 0o711);
      return dir;
    };
    [one, two] = [make("one"), make("two")];
    setAttribute(join(one, "hard"));
  });
  afterAll(() => bench.remove());

  const copy: AddLocalDirOptions = { copy: true };
  const chains: readonly (readonly [string, () => Image])[] = [
    ["in a directory that is not there", () => base.addLocalDir(one, "/new/place", copy)],
    ["in one that is empty", () => base.addLocalDir(one, "/real", copy)],
    ["in one that is not empty", () => base.addLocalDir(one, "/full", copy)],
    ["at the root", () => base.addLocalDir(one, "/", copy)],
    ["at the root of nothing", () => Image.fromScratch().addLocalDir(one, "/", copy)],
    ["below the root of nothing", () => Image.fromScratch().addLocalDir(one, "/a/b", copy)],
    ["behind a link", () => base.addLocalDir(one, "/linked/in/it", copy)],
    ["behind a link, and empty", () => base.addLocalDir(one, "/linked", copy)],
    ["behind a relative link", () => base.addLocalDir(one, "/full/up/it", copy)],
    [
      "one after another, with commands between",
      () =>
        base
          .addLocalDir(one, "/a", copy)
          .runCommands("chmod 700 /a/bin; rm /a/hard; echo x > /a/bin/new")
          .addLocalDir(two, "/b", copy)
          .addLocalDir(one, "/b/more", copy)
          .runCommands("cp -a /b/link /c"),
    ],
    ["one onto another", () => base.addLocalDir(one, "/a", copy).addLocalDir(two, "/a", copy)],
    ["with the times they have", () => base.addLocalDir(one, "/a/b", { ...copy, mtime: "keep" })],
    ["with usual modes", () => base.addLocalDir(one, "/a/b", { ...copy, mode: "normalize" })],
    ["without some", () => base.addLocalDir(one, "/a", { ...copy, ignore: ["bin/d4", "**/one1"] })],
  ];
  it.each(chains)("is the same whichever way they go: %s", async (_title, chain) => {
    const image = chain();
    const [on, without] = [bench.place("on"), bench.place("off")];
    await bench.build(image, { outputs: [ociLayout(on)] });
    await bench.build(image, { outputs: [ociLayout(without)] }, off);
    expectSame(await readLayoutImage(on), await readLayoutImage(without));
  });

  it("is the same with a time for all", async () => {
    const image = base.addLocalDir(one, "/a/b", copy);
    const [on, without] = [bench.place("on"), bench.place("off")];
    const at = { sourceDateEpoch: 1_600_000_000 };
    await bench.build(image, { outputs: [ociLayout(on)], ...at });
    await bench.build(image, { outputs: [ociLayout(without)], ...at }, off);
    expectSame(await readLayoutImage(on), await readLayoutImage(without));
    expect((await readLayoutImage(on)).files.get("a/b/hard")?.mtime).toBe(1_600_000_000);
  });
});

/** Files, links and config of two images are equal, and history tells of each layer. */
function expectSame(image: ReadImage, other: ReadImage): void {
  expect(Object.fromEntries(filesOf(image))).toEqual(Object.fromEntries(filesOf(other)));
  expect(image.config.config).toEqual(other.config.config);
  expect(stepsOf(image)).toEqual(stepsOf(other));
  for (const { config, manifest } of [image, other]) {
    const made = config.history?.filter(({ empty_layer }) => empty_layer !== true) ?? [];
    expect(made).toHaveLength(manifest.layers.length);
    expect(config.rootfs?.diff_ids).toHaveLength(manifest.layers.length);
  }
}

/** Hard links by all the names of their file: which of them the archive has first is its own affair. */
function filesOf({ files }: ReadImage): ReadonlyMap<string, object> {
  const first = (path: string): string => {
    const file = files.get(path);
    return file?.type === "link" && file.linkname !== undefined ? first(file.linkname) : path;
  };
  const names = new Map<string, string[]>();
  for (const path of [...files.keys()].sort())
    names.set(first(path), [...(names.get(first(path)) ?? []), path]);
  // What commands wrote, and directories that were made for copies: the daemon gives them the time of the day.
  const timeless =
    /^(before|after|dev|proc|sys|etc|tmp|run|var|c)(\/|$)|^(opt(\/app)?|real|full|linked|[ab]|a\/b|b\/more|a\/bin(\/new)?)$/;
  return new Map(
    [...files.keys()].map((path) => {
      const { mtime, linkname, ...file } = files.get(first(path)) as ImageFile;
      const times = timeless.test(path) ? {} : { mtime: Math.floor(mtime) };
      return [
        path,
        {
          ...file,
          ...times,
          ...(file.type === "symlink" ? { linkname } : { names: names.get(first(path)) }),
        },
      ];
    }),
  );
}

/** What history tells, each step once however many layers it has. */
function stepsOf({ config }: ReadImage): readonly string[] {
  const told = (config.history ?? []).map(({ created_by = "" }) => created_by);
  return told.filter((text, at) => text !== told[at - 1]);
}

/** Where the machine has the tool; a file system without attributes of users does without. */
function setAttribute(path: string): void {
  try {
    execFileSync("setfattr", ["-n", "user.kiln", "-v", "value", path], { stdio: "ignore" });
  } catch {
    // Not to be had.
  }
}
