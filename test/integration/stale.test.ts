import {
  chmodSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildOptions,
  FilePatternMatcher,
  Image,
  localDir,
  ociLayout,
  ociTar,
  registry as registryOutput,
  Secret,
} from "../../src/index.js";
import { sha256 } from "../../src/oci/digest.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { startPackageIndex } from "./support/package-index.js";
import { fresh, pinned, textOf, Workbench } from "./support/rebuild.js";
import { type ImageFile, readLayoutImage, readRegistryImage } from "./support/registry-image.js";

const hashOf = (text: string): string => sha256(text).slice(7);

describeOneEngine("modern", "a build that something has changed for", ({ address }) => {
  let bench: Workbench;
  let base: string;
  beforeAll(async () => {
    bench = new Workbench(address);
    base = await pinned("library/busybox", "1.36");
  });
  afterAll(() => bench.remove());

  /** Builds until nothing is left to do; what it wrote is not looked at. */
  async function settle(image: Image, options: BuildOptions): Promise<void> {
    expect(await bench.build(image, options)).toMatchObject({ verified: false });
    expect(await bench.build(image, options)).toMatchObject({ verified: true });
  }

  /** After an edit: it is built, not verified, and then there is nothing to do again. */
  async function rebuilt(image: Image, options: BuildOptions): Promise<void> {
    expect(await bench.build(image, options)).toMatchObject({ verified: false });
    expect(await bench.build(image, options)).toMatchObject({ verified: true });
  }

  const many = Object.fromEntries(
    Array.from({ length: 1_100 }, (_, index) => [`d${index % 11}/f${index}.txt`, `content ${index}`]),
  );

  it.each([
    ["a small tree", {}, false],
    ["a tree that goes as layers", many, false],
    ["a tree that goes as layers, with a command after it", many, true],
  ])("has every edit of its files: %s", async (_title, more, withCommand) => {
    const dir = bench.project({
      ...more,
      "same.txt": "aaaa",
      "kind.txt": "file",
      "link-target": "x",
      "gone.txt": "gone",
      "renamed.txt": "renamed",
      "sub/deep.txt": "deep",
    });
    symlinkSync("kind.txt", join(dir, "link"));
    const at = (...path: readonly string[]): string => join(dir, ...path);
    const copied = Image.fromScratch().addLocalDir(dir, "/app", { copy: true });
    const image = withCommand
      ? Image.fromRegistry(base).addLocalDir(dir, "/app", { copy: true }).runCommands("cp -a /app /copy")
      : copied;
    const out = bench.place("layout");
    const options = { outputs: [ociLayout(out)] };
    const files = async (): Promise<ReadonlyMap<string, ImageFile>> => (await readLayoutImage(out)).files;
    await settle(image, options);
    const places = withCommand ? ["app", "copy"] : ["app"];
    const edit = async (change: () => void, path: string, expected: object | undefined): Promise<void> => {
      change();
      await rebuilt(image, options);
      const found = await files();
      for (const place of places) {
        const file = found.get(`${place}/${path}`);
        if (expected === undefined) expect(file).toBeUndefined();
        else expect(file).toMatchObject(expected);
      }
    };
    const { mtime, atime } = statSync(at("same.txt"));
    await edit(
      () => {
        writeFileSync(at("same.txt"), "bbbb");
        utimesSync(at("same.txt"), atime, mtime);
      },
      "same.txt",
      { type: "file", sha256: hashOf("bbbb") },
    );
    // Another file of the same size and times in its place.
    await edit(
      () => {
        writeFileSync(at("other"), "cccc");
        utimesSync(at("other"), atime, mtime);
        renameSync(at("other"), at("same.txt"));
      },
      "same.txt",
      { type: "file", sha256: hashOf("cccc") },
    );
    await edit(
      () => {
        rmSync(at("kind.txt"));
        symlinkSync("link-target", at("kind.txt"));
        rmSync(at("link"));
        symlinkSync("same.txt", at("link"));
      },
      "kind.txt",
      { type: "symlink", linkname: "link-target" },
    );
    expect((await files()).get("app/link")).toMatchObject({ type: "symlink", linkname: "same.txt" });
    await edit(
      () => {
        chmodSync(at("sub", "deep.txt"), 0o755);
        rmSync(at("gone.txt"));
        renameSync(at("renamed.txt"), at("sub", "renamed.txt"));
      },
      "sub/deep.txt",
      { mode: 0o755 },
    );
    const found = await files();
    expect(found.has("app/gone.txt")).toBe(false);
    expect(found.has("app/renamed.txt")).toBe(false);
    expect(found.get("app/sub/renamed.txt")).toMatchObject({ sha256: hashOf("renamed") });
    await edit(
      () => {
        rmSync(at("sub"), { recursive: true });
        writeFileSync(at("sub"), "a file now");
      },
      "sub",
      { type: "file", sha256: hashOf("a file now") },
    );
    expect((await files()).has("app/sub/deep.txt")).toBe(false);
    if (Object.keys(more).length > 0) {
      expect((await files()).get("app/d3/f3.txt")).toMatchObject({ sha256: hashOf("content 3") });
    }
  });

  it("notices a file behind a hard link, and one that was written while the clock ran behind", async () => {
    const dir = bench.project({ "a.txt": "first" });
    const outside = bench.place("outside");
    linkSync(join(dir, "a.txt"), outside);
    const out = bench.place("out");
    const image = Image.fromScratch().addLocalDir(dir, "/", { copy: true });
    const options = { outputs: [localDir(out)] };
    await settle(image, options);
    writeFileSync(outside, "other");
    await rebuilt(image, options);
    expect(textOf(out, "a.txt")).toBe("other");
    writeFileSync(join(dir, "a.txt"), "third");
    utimesSync(join(dir, "a.txt"), 100_000, 100_000);
    await rebuilt(image, options);
    expect(textOf(out, "a.txt")).toBe("third");
  });

  it("leaves out what an ignore file says now", async () => {
    const dir = bench.project({ "keep.txt": "keep", "secret.txt": "secret", ".ignore": "secret.txt\n" });
    const out = bench.place("layout");
    const image = Image.fromScratch().addLocalDir(dir, "/", {
      copy: true,
      ignore: FilePatternMatcher.fromFile(join(dir, ".ignore")),
    });
    const options = { outputs: [ociLayout(out)] };
    await settle(image, options);
    expect([...(await readLayoutImage(out)).files.keys()]).not.toContain("secret.txt");
    writeFileSync(join(dir, ".ignore"), "keeps.txt\n");
    await rebuilt(image, options);
    expect([...(await readLayoutImage(out)).files.keys()]).toEqual(
      expect.arrayContaining([".ignore", "keep.txt", "secret.txt"]),
    );
  });

  it("installs what a requirements file says now", async () => {
    const index = await startPackageIndex([
      { name: "kiln-stale", version: "1.0" },
      { name: "kiln-stale", version: "2.0" },
    ]);
    try {
      const dir = bench.project({ "requirements.txt": "kiln-stale==1.0\n" });
      const out = bench.place("out");
      const installed = Image.fromRegistry(
        await pinned("library/python", "3.13-slim"),
      ).pipInstallFromRequirements(join(dir, "requirements.txt"), {
        indexUrl: index.indexUrl,
        extraOptions: `--trusted-host ${index.host} --no-cache-dir --target /installed`,
      });
      const image = Image.fromScratch().copyFrom(installed, "/installed", "/");
      const options = { outputs: [localDir(out)] };
      const version = (): string => textOf(out, "kiln_stale", "__init__.py");
      await settle(image, options);
      expect(version()).toBe('__version__ = "1.0"');
      writeFileSync(join(dir, "requirements.txt"), "kiln-stale==2.0\n");
      await rebuilt(image, options);
      expect(version()).toBe('__version__ = "2.0"');
    } finally {
      await index.close();
    }
  });

  it("has a base's tag of today, unless a lock holds it", async () => {
    const tag = `${registry()}/stale/base-${fresh()}:1`;
    const push = (text: string) =>
      bench.build(Image.fromScratch().addLocalDir(bench.project({ base: text }), "/", { copy: true }), {
        outputs: [registryOutput(tag)],
      });
    const image = Image.fromRegistry(tag).label({ a: "b" });
    const [free, bound] = [bench.place("free"), bench.place("bound")];
    const sourceLock = bench.place("kiln.lock");
    const locked = { outputs: [ociLayout(bound)], sourceLock };
    const baseOf = async (dir: string) => (await readLayoutImage(dir)).files.get("base")?.sha256;
    await push("one");
    await settle(image, { outputs: [ociLayout(free)] });
    await settle(image, locked);
    await push("two");
    await rebuilt(image, { outputs: [ociLayout(free)] });
    expect(await baseOf(free)).toBe(hashOf("two"));
    expect(await bench.build(image, locked)).toMatchObject({ verified: true });
    expect(await baseOf(bound)).toBe(hashOf("one"));
    expect(await bench.build(image, { ...locked, pull: "always" })).toMatchObject({ verified: false });
    expect(await baseOf(bound)).toBe(hashOf("two"));
    expect(await bench.build(image, locked)).toMatchObject({ verified: true });
  });

  it("writes an image again that is gone from its registry, or whose tag moved", async () => {
    const repository = `stale/out-${fresh()}`;
    const tag = `${registry()}/${repository}:1`;
    const image = (text: string): Image =>
      Image.fromScratch().addLocalDir(bench.project({ text }), "/", { copy: true });
    const [one, two] = [image("one"), image("two")];
    const options = { outputs: [registryOutput(tag)] };
    await settle(one, options);
    const { digest } = await readRegistryImage(tag);
    const gone = await fetch(`http://${registry()}/v2/${repository}/manifests/${digest}`, {
      method: "DELETE",
    });
    expect(gone.status).toBe(202);
    await rebuilt(one, options);
    expect(await readRegistryImage(tag)).toMatchObject({ digest });
    await bench.build(two, options);
    expect((await readRegistryImage(tag)).digest).not.toBe(digest);
    await rebuilt(one, options);
    expect(await readRegistryImage(tag)).toMatchObject({ digest });
  });

  it("writes a layout again of which any file lacks a byte, or has a wrong one", async () => {
    const out = bench.place("layout");
    const dir = bench.project({ a: "text of some length" });
    const image = Image.fromScratch().addLocalDir(dir, "/", { copy: true });
    const options = { outputs: [ociLayout(out)] };
    await settle(image, options);
    const { digest } = await readLayoutImage(out);
    const blobs = readdirSync(join(out, "blobs", "sha256")).map((name) => join("blobs", "sha256", name));
    expect(blobs).toHaveLength(3);
    const flip = (path: string): void => {
      const bytes = readFileSync(path);
      bytes[10] = (bytes[10] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    };
    const cut = (path: string): void => truncateSync(path, statSync(path).size - 1);
    const damages: readonly (readonly [string, (path: string) => void])[] = [
      ...[...blobs, "index.json", "oci-layout"].map((name) => [name, cut] as const),
      ...blobs.slice(-1).map((name) => [name, flip] as const),
    ];
    for (const [name, damage] of damages) {
      damage(join(out, name));
      await rebuilt(image, options);
      expect(await readLayoutImage(out), name).toMatchObject({ digest });
      expect([...(await readLayoutImage(out)).files.keys()]).toEqual(["a"]);
    }
    // Who knows nothing of the layout does not take its damaged blobs either.
    rmSync(join(bench.dir, "cache"), { recursive: true });
    for (const name of blobs) flip(join(out, name));
    await rebuilt(image, options);
    expect(await readLayoutImage(out)).toMatchObject({ digest });
    rmSync(out, { recursive: true });
    await rebuilt(image, options);
    expect(await readLayoutImage(out)).toMatchObject({ digest });
  });

  it("writes a directory and a tar again that are not what was written", async () => {
    const [files, tar] = [bench.place("out"), bench.place("tar")];
    const dir = bench.project({ a: "aaaa", b: "bbbb" });
    const image = Image.fromScratch().addLocalDir(dir, "/", { copy: true });
    const options = { outputs: [localDir(files), ociTar(tar)] };
    await settle(image, options);
    const { atime, mtime } = statSync(join(files, "a"));
    writeFileSync(join(files, "a"), "xxxx");
    utimesSync(join(files, "a"), atime, mtime);
    await rebuilt(image, options);
    expect(textOf(files, "a")).toBe("aaaa");
    const { size } = statSync(tar);
    truncateSync(tar, size - 1);
    await rebuilt(image, options);
    expect(statSync(tar).size).toBe(size);
  });

  it("runs again for another value of a versioned secret", async () => {
    const out = bench.place("out");
    const secrets = [Secret.fromEnv("STALE_TOKEN").versioned()];
    const image = Image.fromRegistry(base).runCommands(`echo "$STALE_TOKEN" > /token; : ${fresh()}`, {
      secrets,
    });
    const options = { outputs: [localDir(out)] };
    const build = (value: string) => bench.build(image, options, { env: { STALE_TOKEN: value } });
    expect(await build("one")).toMatchObject({ verified: false });
    expect(await build("one")).toMatchObject({ verified: true });
    expect(await build("two")).toMatchObject({ verified: false });
    expect(textOf(out, "token")).toBe("two");
    expect(await build("one")).toMatchObject({ verified: false });
    expect(textOf(out, "token")).toBe("one");
  });
});
