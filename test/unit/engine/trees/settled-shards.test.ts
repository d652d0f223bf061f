import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import type { TreeManifest } from "../../../../src/cache/trees/tree-manifest.js";
import { keepManifest } from "../../../../src/engine/trees/kept-manifests.js";
import { keepShards, settledShards } from "../../../../src/engine/trees/settled-shards.js";
import type { LayerBlob } from "../../../../src/layers/layer-sink.js";
import {
  type PackedTree,
  type PackTreeOptions,
  packTree,
  type SettledShard,
} from "../../../../src/layers/pack-tree.js";
import type { ShardOptions } from "../../../../src/layers/plan-shards.js";
import { temporaryDirectory } from "../../fsutil/temporary-tree.js";

const volatile = ["d3/f3", "d7/f7"];

class Scene {
  readonly dir = temporaryDirectory();
  readonly root = join(this.dir, "tree");
  readonly index = openCacheIndex({ cacheDir: join(this.dir, "cache"), env: {} });
  readonly #known = new Map<string, LayerBlob>();
  #scratches = 0;

  constructor(files = 60) {
    for (let file = 0; file < files; file += 1) {
      mkdirSync(join(this.root, `d${file % 10}`), { recursive: true });
      writeFileSync(join(this.root, `d${file % 10}`, `f${file}`), `content ${file}`);
    }
    mkdirSync(join(this.dir, "blobs"));
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }

  async scan(): Promise<TreeManifest> {
    const options = { index: this.index, key: "0123456789abcdef01234567", threads: "off" } as const;
    const { manifest } = await scanTree({ kind: "dir", root: this.root }, options);
    await keepManifest(this.index, manifest);
    return manifest;
  }

  options(manifest: TreeManifest, more: Partial<ShardOptions> = {}): ShardOptions {
    return {
      entries: () => manifest.entries(),
      target: { prefix: "app", makeDirs: ["app"] },
      mtime: { seconds: 1 },
      compression: "gzip",
      maxShards: 8,
      volatile: new Set(volatile),
      ...more,
    };
  }

  async settled(more?: Partial<ShardOptions>): Promise<readonly SettledShard[] | undefined> {
    const manifest = await this.scan();
    return settledShards(this.index, { key: "tree", manifest }, this.options(manifest, more));
  }

  pack(manifest: TreeManifest, settled?: readonly SettledShard[]): Promise<PackedTree> {
    const blobs = join(this.dir, "blobs");
    const packing: PackTreeOptions = {
      ...this.options(manifest),
      locate: (path) => join(this.root, path),
      memo: {
        get: async (key) => this.#known.get(key),
        put: async (key, blob) => void this.#known.set(key, blob),
      },
      blobs: {
        path: (digest) => join(blobs, digest),
        has: async (digest) => existsSync(join(blobs, digest)),
        scratch: async () => join(blobs, `scratch-${this.#scratches++}`),
        keep: async (scratchFile, digest) => renameSync(scratchFile, join(blobs, digest)),
      },
      threads: false,
      settled: settled && { shards: settled, entryAt: (path) => manifest.entryAt(path) },
    };
    return packTree(packing);
  }

  forget(key: string): void {
    this.#known.delete(key);
  }

  async packAndKeep(): Promise<PackedTree> {
    const manifest = await this.scan();
    const packed = await this.pack(manifest);
    await keepShards(this.index, { key: "tree", manifest }, this.options(manifest), packed);
    return packed;
  }
}

it("packs what planning the whole tree packs", async () => {
  const scene = new Scene(1_050);
  const before = await scene.packAndKeep();
  expect(before.layers.length).toBeGreaterThan(2);
  scene.write("d3/f3", "another content");
  chmodSync(join(scene.root, "d7/f7"), 0o750);
  const settled = await scene.settled();
  expect(settled).toHaveLength(before.layers.length - 1);
  const manifest = await scene.scan();
  const packed = await scene.pack(manifest, settled);
  expect(packed.packedShards).toBe(1);
  expect(packed.layers).toEqual((await scene.pack(manifest)).layers);
  expect(packed.layers.slice(0, -1)).toEqual(before.layers.slice(0, -1));
  expect(packed.layers.at(-1)?.digest).not.toBe(before.layers.at(-1)?.digest);
  // A blob that has gone is made again though nothing of it was planned.
  const [{ digest = "" } = {}] = packed.layers;
  rmSync(join(scene.dir, "blobs", digest));
  expect(existsSync(await packed.openShard(digest))).toBe(true);
});

it("plans anew where a shard is not known any more", async () => {
  const scene = new Scene(1_050);
  const before = await scene.packAndKeep();
  const settled = await scene.settled();
  scene.forget(settled?.[1]?.key ?? "");
  const packed = await scene.pack(await scene.scan(), settled);
  expect(packed.packedShards).toBe(1);
  expect(packed.layers).toEqual(before.layers);
});

const harmless: readonly (readonly [string, (scene: Scene) => void])[] = [
  ["nothing", () => {}],
  ["the content of a volatile file", (scene) => scene.write("d3/f3", "x")],
  ["the mode of one", (scene) => chmodSync(join(scene.root, "d3/f3"), 0o700)],
];
it.each(harmless)("are settled after a change of %s", async (_what, change) => {
  const scene = new Scene();
  await scene.packAndKeep();
  change(scene);
  expect(await scene.settled()).toBeDefined();
});

const toLink = (scene: Scene, link: (from: string, to: string) => void, from: string): void => {
  rmSync(join(scene.root, "d3/f3"));
  link(from, join(scene.root, "d3/f3"));
};
const others: readonly (readonly [string, (scene: Scene) => void, Partial<ShardOptions>])[] = [
  ["the content of another file", (scene) => scene.write("d4/f4", "x"), {}],
  ["a size by a magnitude", (scene) => scene.write("d3/f3", "x".repeat(100_000)), {}],
  ["a file to a link", (scene) => toLink(scene, symlinkSync, "f13"), {}],
  ["a file to a further name of another", (scene) => toLink(scene, linkSync, join(scene.root, "d3/f13")), {}],
  ["a directory's mode", (scene) => chmodSync(join(scene.root, "d3"), 0o700), {}],
  ["what there is", (scene) => scene.write("d3/new", "x"), {}],
  ["what there was", (scene) => rmSync(join(scene.root, "d3/f13")), {}],
  ["which files are volatile", () => {}, { volatile: new Set(["d3/f3"]) }],
  ["where it goes", () => {}, { target: { prefix: "b", makeDirs: ["b"] } }],
  ["times", () => {}, { mtime: { seconds: 2 } }],
  ["how many layers there may be", () => {}, { maxShards: 7 }],
];
it.each(others)("are not settled after a change of %s", async (_what, change, options) => {
  const scene = new Scene();
  await scene.packAndKeep();
  change(scene);
  expect(await scene.settled(options)).toBeUndefined();
});

it("are never settled in a tree with hard links", async () => {
  const scene = new Scene();
  linkSync(join(scene.root, "d1/f1"), join(scene.root, "d9/link"));
  expect((await scene.packAndKeep()).hasLinks).toBe(true);
  expect(await scene.settled()).toBeUndefined();
});
