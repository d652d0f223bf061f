import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCacheIndex } from "../../src/cache/records/cache-index.js";
import { Image, ociLayout } from "../../src/index.js";
import { sha256 } from "../../src/oci/digest.js";
import type { DescribedImage } from "../../src/solver/image-manifest.js";
import { describeOneEngine } from "./support/engines.js";
import { fresh, pinned, Workbench } from "./support/rebuild.js";
import { type ImageFile, readLayoutImage } from "./support/registry-image.js";

describeOneEngine("older", "an index that is not what builds wrote", ({ address }) => {
  let bench: Workbench;
  let dir: string;
  let chains: readonly (readonly [string, Image, string])[];
  let expected: readonly ReadonlyMap<string, ImageFile>[];
  const index = (...path: readonly string[]): string => join(bench.dir, "cache", "index", "v1", ...path);

  beforeAll(async () => {
    bench = new Workbench(address);
    dir = bench.project(
      Object.fromEntries(
        Array.from({ length: 1_050 }, (_, at) => [`d${at % 7}/f${at}.txt`, `content ${at}`]),
      ),
    );
    const copied = Image.fromRegistry(await pinned("library/busybox", "1.36"))
      .runCommands(`echo ${fresh()} > /before`)
      .addLocalDir(dir, "/app", { copy: true });
    chains = [
      ["appended", copied, bench.place("layout")],
      ["solved", copied.runCommands("cp /app/d0/f0.txt /after"), bench.place("layout")],
    ];
    for (const [, image, out] of chains) await bench.build(image, { outputs: [ociLayout(out)] });
    expected = await Promise.all(chains.map(async ([, , out]) => (await readLayoutImage(out)).files));
  });
  afterAll(() => bench.remove());

  /** Builds both chains after an edit, to new places, and looks at all of what they made. */
  async function buildsRight(env: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
    const said: string[] = [];
    const text = `edited ${fresh()}`;
    const outs = chains.map(() => bench.place("layout"));
    writeFileSync(join(dir, "d0", "f0.txt"), text);
    for (const [at, [, image]] of chains.entries()) {
      const { phases } = await bench.build(image, { outputs: [ociLayout(outs[at] ?? "")] }, { env });
      said.push(...phases);
    }
    const hash = sha256(text).slice(7);
    for (const [at, [title]] of chains.entries()) {
      const { files } = await readLayoutImage(outs[at] ?? "");
      const wanted = new Map(expected[at]);
      for (const path of ["app/d0/f0.txt", "after"]) {
        const file = wanted.get(path);
        if (file !== undefined) wanted.set(path, { ...file, sha256: hash });
      }
      expect(plain(files), title).toEqual(plain(wanted));
    }
    return said;
  }

  /** Does something to every file of the index. */
  function eachFile(change: (path: string) => void): void {
    for (const entry of readdirSync(index(), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) change(join(entry.parentPath, entry.name));
    }
  }

  const flip = (path: string): void => {
    const bytes = readFileSync(path);
    const middle = bytes.length >> 1;
    if (bytes.length > 0) bytes[middle] = (bytes[middle] ?? 0) ^ 4;
    writeFileSync(path, bytes);
  };

  it("costs nothing but time: it was deleted", async () => {
    rmSync(index(), { recursive: true });
    await buildsRight();
    expect(readdirSync(index("results")).length).toBeGreaterThan(0);
  });

  it("costs nothing but time: all its files were cut", async () => {
    eachFile((path) => truncateSync(path, readFileSync(path).length >> 1));
    await buildsRight();
    expect(readdirSync(index("damaged")).length).toBeGreaterThan(0);
  });

  it("costs nothing but time: a bit of each of its files was turned", async () => {
    eachFile(flip);
    await buildsRight();
    const [, image, out] = chains[1] ?? expect.fail();
    await bench.build(image, { outputs: [ociLayout(out)] });
    expect(await bench.build(image, { outputs: [ociLayout(out)] })).toMatchObject({ verified: true });
  });

  it("costs nothing but time: blobs alone were damaged", async () => {
    for (const name of readdirSync(index("blobs", "sha256"))) flip(index("blobs", "sha256", name));
    await buildsRight();
  });

  it("costs nothing but time: a later Kiln wrote it", async () => {
    eachFile((path) => {
      const bytes = readFileSync(path);
      if (bytes.subarray(0, 13).toString() !== "kiln-index 1 ") return;
      writeFileSync(path, Buffer.concat([Buffer.from("kiln-index 2 "), bytes.subarray(13)]));
    });
    await buildsRight();
  });

  it("costs nothing but time: it names layers that the daemon has not", async () => {
    const kept = openCacheIndex({ cacheDir: join(bench.dir, "cache"), env: {} });
    let changed = 0;
    for await (const { key } of kept.list("prefixes")) {
      const described = (await kept.read("prefixes", key)) as DescribedImage;
      const [layer] = described.manifest.layers;
      if (layer === undefined) continue;
      const layers = [{ ...layer, digest: sha256(fresh()) }, ...described.manifest.layers.slice(1)];
      await kept.write("prefixes", key, { ...described, manifest: { ...described.manifest, layers } });
      changed += 1;
    }
    expect(changed).toBeGreaterThan(0);
    const said = await buildsRight();
    expect(said.filter((text) => /has lost layers/.test(text))).not.toEqual([]);
    expect((await buildsRight()).filter((text) => /has lost layers/.test(text))).toEqual([]);
  });

  it("costs nothing but time: it cannot be written", async () => {
    writeFileSync(join(bench.dir, "file"), "");
    await buildsRight({ KILN_CACHE_DIR: join(bench.dir, "file", "cache") });
  });

  it("costs nothing but time: it is off", async () => {
    await buildsRight({ KILN_CACHE: "off", KILN_CACHE_DIR: join(bench.dir, "unused") });
    expect(readdirSync(bench.dir)).not.toContain("unused");
  });
});

/** Files as far as they are the same in each build: commands write at different times. */
function plain(files: ReadonlyMap<string, ImageFile>): Record<string, object> {
  return Object.fromEntries(
    [...files].map(([path, { mtime, ...file }]) => [
      path,
      path.startsWith("app/") ? { ...file, mtime } : file,
    ]),
  );
}
