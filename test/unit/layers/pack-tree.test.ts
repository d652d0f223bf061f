import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { FileMode } from "../../../src/fsutil/file-mode.js";
import type { ManifestEntry } from "../../../src/fsutil/manifest-entry.js";
import type { LayerBlob } from "../../../src/layers/layer-sink.js";
import type { PackedTree, PackTreeOptions } from "../../../src/layers/pack-tree.js";
import { temporaryDirectory, temporaryTree } from "../fsutil/temporary-tree.js";
import { Kept, pack, seconds, variedTree } from "./packing.js";
import { entry, scanEntries } from "./scan-entries.js";

/** Unpacks layers over each other with the system's tar. */
function unpack({ layers }: PackedTree, kept: Kept): string {
  const root = temporaryDirectory();
  for (const { digest, mediaType } of layers) {
    const flag = mediaType.endsWith("+gzip") ? ["-z"] : [];
    execFileSync("tar", [...flag, "-x", "-p", "-f", join(kept.dir, digest), "-C", root]);
  }
  return root;
}

/** What matters of entries in an image. */
function essence(entries: readonly ManifestEntry[]): unknown[] {
  return entries.map(({ path, mode, size, sha256, linkname }) => ({ path, mode, size, sha256, linkname }));
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

test.each(["gzip", "uncompressed"] as const)("unpacked, a tree is what it was: %s", async (compression) => {
  const root = variedTree(compression === "gzip" ? 1200 : 100);
  const kept = new Kept();
  const packed = await pack(root, kept, { compression, volatile: new Set(["bin/tool", "many/1/70.txt"]) });
  expect(packed.layers.length).toBe(compression === "gzip" ? 3 : 2);
  expect(packed.packedShards).toBe(packed.layers.length);
  const unpacked = unpack(packed, kept);
  expect(essence(scanEntries(join(unpacked, "app/src")))).toEqual(essence(scanEntries(root)));
  expect(scanEntries(unpacked).every(({ uid, gid }) => uid === 0 && gid === 0)).toBe(true);
  expect(
    scanEntries(join(unpacked, "app/src")).every(({ modTime }) => modTime === BigInt(seconds) * 10n ** 9n),
  );
  expect(lstatSync(join(unpacked, "app")).mode & 0o7777).toBe(0o755);
  for (const { digest, size, diffId, files } of packed.layers) {
    const bytes = readFileSync(join(kept.dir, digest));
    expect({ digest: sha256(bytes), size: bytes.length }).toEqual({ digest, size });
    expect(sha256(compression === "gzip" ? gunzipSync(bytes) : bytes)).toBe(diffId);
    expect(files).toBeGreaterThan(0);
  }
  expect(packed.layers.at(-1)?.files).toBe(2);
  expect(kept.files()).toEqual(packed.layers.map(({ digest }) => digest).sort());
});

test("layers may be applied in any order", async () => {
  const root = variedTree(60);
  const kept = new Kept();
  const packed = await pack(root, kept, {
    volatile: new Set(["private/key", "grün/日本語", "many/0/3.txt"]),
  });
  expect(packed.layers.length).toBe(2);
  const backwards = unpack({ ...packed, layers: [...packed.layers].reverse() }, kept);
  expect(essence(scanEntries(join(backwards, "app/src")))).toEqual(essence(scanEntries(root)));
});

test("the same tree elsewhere, written at another time, has the same layers", async () => {
  const root = variedTree(60);
  const copy = join(temporaryDirectory(), "copy");
  cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
  rmSync(join(copy, "links"), { recursive: true });
  rmSync(join(copy, "zz"), { recursive: true });
  rmSync(join(root, "links"), { recursive: true });
  rmSync(join(root, "zz"), { recursive: true });
  const digests = async (from: string): Promise<string[]> =>
    (await pack(from, new Kept())).layers.map(({ digest }) => digest);
  expect(await digests(copy)).toEqual(await digests(root));
});

test("a layer's bytes are golden", async () => {
  const root = temporaryTree({
    "a.txt": "hello\n",
    "dir/b.sh": { file: "#!/bin/sh\necho b\n", mode: 0o755 },
    "dir/c": { symlink: "../a.txt" },
    "ü/empty": { dir: true },
  });
  chmodSync(join(root, "a.txt"), 0o644);
  const { layers } = await pack(root, new Kept());
  expect(layers).toEqual([
    {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: "sha256:f34bc07ecdd7c84b15c8a71442107f7ca0a916828285edb4291c11e6b480739d",
      diffId: "sha256:2d4074a7f5bfcee2b71bbf9cbdd69ea34c54371666fb558805c722a1ce5398d2",
      shardKey: "4f0f6b0ab95f93a4592282e0a76551fc5dbcf151957332496c2279e1ab7d235f",
      size: 383,
      files: 3,
      volatile: false,
    },
  ]);
});

test("what the memo knows is not packed, and is packed again with the same bytes for whoever asks", async () => {
  const root = variedTree(20);
  const kept = new Kept();
  const options = { volatile: new Set(["z-large"]) };
  const first = await pack(root, kept, options);
  for (const name of kept.files()) rmSync(join(kept.dir, name));
  const again = await pack(root, kept, options);
  expect(again.packedShards).toBe(0);
  expect(again.layers).toEqual(first.layers);
  expect(kept.files()).toEqual([]);

  const { digest } = again.layers[1]!;
  const paths = await Promise.all([again.openShard(digest), again.openShard(digest)]);
  expect(paths).toEqual([join(kept.dir, digest), join(kept.dir, digest)]);
  expect(sha256(readFileSync(paths[0]!))).toBe(digest);
  expect(kept.files()).toEqual([digest]);
  await expect(again.openShard(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({
    code: "ERR_KILN_BLOB_NOT_FOUND",
  });
  writeFileSync(join(root, "a link-target"), "no part of it");
  appendFileSync(join(root, "z-none"), "x");
  await expect(again.openShard(again.layers[0]!.digest)).rejects.toMatchObject({
    code: "ERR_KILN_FILE_CHANGED",
  });
});

test("after a change only its shard is packed", async () => {
  const root = variedTree(1200);
  const kept = new Kept();
  const before = await pack(root, kept);
  writeFileSync(join(root, "many/7/355.txt"), "changed");
  const after = await pack(root, kept);
  expect(after.packedShards).toBe(1);
  const known = new Set(before.layers.map(({ digest }) => digest));
  expect(after.layers.filter(({ digest }) => !known.has(digest))).toHaveLength(1);
});

test("trees that are packed for one place at once share layers, and fail each for itself", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [`d${at % 4}/f${at}`, `content ${at}`]),
  );
  const [root, same] = [temporaryTree(files), temporaryTree(files)];
  const kept = new Kept();
  const shared = { threads: true, place: kept.dir };
  const trees = await Promise.all([root, same, root].map((one) => pack(one, kept, shared)));
  expect(new Set(trees.map(({ layers }) => JSON.stringify(layers))).size).toBe(1);
  expect(kept.scratches).toBe(trees[0]?.layers.length);
  expect(kept.files()).toHaveLength(kept.scratches);

  const other = new Kept();
  const { memo, blobs } = other;
  const entries = scanEntries(root);
  appendFileSync(join(root, "d0/f0"), "more");
  let asked = 0;
  const options: Partial<PackTreeOptions> = {
    ...{ threads: true, place: other.dir },
    memo: {
      ...memo,
      get(key) {
        asked += 1;
        return memo.get(key);
      },
    },
    blobs: {
      ...blobs,
      async scratch() {
        // The second one has joined then.
        while (asked < 2) await new Promise((resolve) => setImmediate(resolve));
        return blobs.scratch();
      },
    },
  };
  const changing = pack(root, other, { ...options, entries: () => entries });
  while (asked < 1) await new Promise((resolve) => setImmediate(resolve));
  const [changed, whole] = await Promise.allSettled([changing, pack(same, other, options)]);
  expect(changed).toMatchObject({ status: "rejected", reason: { code: "ERR_KILN_FILE_CHANGED" } });
  expect(whole).toMatchObject({ status: "fulfilled", value: { layers: trees[0]?.layers } });
  expect(other.files()).toHaveLength(trees[0]?.layers.length ?? 0);
});

test("a memo that is damaged is not believed, one that is wrong is found out", async () => {
  const root = temporaryTree({ a: "a" });
  const kept = new Kept();
  const { layers } = await pack(root, kept);
  const [{ shardKey, ...layer }] = layers as [(typeof layers)[0]];
  kept.known.set(shardKey, { ...layer, digest: "sha256:short" as LayerBlob["digest"] });
  expect(await pack(root, kept)).toMatchObject({ layers, packedShards: 1 });
  const wrong = `sha256:${"1".repeat(64)}` as const;
  kept.known.set(shardKey, { ...layer, digest: wrong });
  const misled = await pack(root, kept);
  await expect(misled.openShard(wrong)).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
  expect(kept.files()).toEqual([layer.digest]);
});

const changes: readonly (readonly [title: string, how: string, change: (path: string) => void])[] = [
  ["has other content", "its content is another one", (path) => writeFileSync(path, "B".repeat(5000))],
  ["has grown", "it has grown", (path) => appendFileSync(path, "more")],
  ["is shorter", "it has been cut short", (path) => truncateSync(path, 10)],
  ["is gone", "it is gone", (path) => rmSync(path)],
  [
    "became a symlink",
    "it has become a symlink",
    (path) => {
      renameSync(path, `${path}-2`);
      symlinkSync(`${path}-2`, path);
    },
  ],
  [
    "became a directory",
    "it is no regular file any more",
    (path) => {
      rmSync(path);
      mkdirSync(path);
    },
  ],
  [
    "became a pipe",
    "it has been cut short",
    (path) => {
      rmSync(path);
      execFileSync("mkfifo", [path]);
    },
  ],
];

test.each(changes)("a file that %s since the scan is refused by name", async (_title, how, change) => {
  const root = temporaryTree({ "dir/file": "A".repeat(5000), other: "x" });
  const entries = scanEntries(root);
  const path = join(root, "dir/file");
  change(path);
  const kept = new Kept();
  await expect(pack(root, kept, { entries: () => entries })).rejects.toMatchObject({
    name: "KilnError",
    code: "ERR_KILN_FILE_CHANGED",
    message: `${path} changed while it was being read: ${how}`,
    hint: expect.any(String) as string,
  });
  expect(kept.files()).toEqual([]);
  expect(kept.known.size).toBe(0);
});

test.each([
  ["has grown", (path: string) => appendFileSync(path, "x"), "it has grown"],
  ["is shorter", (path: string) => truncateSync(path, 400_000), "it has been cut short"],
  ["has other content", (path: string) => writeFileSync(path, Buffer.alloc(700_000, 1)), "its content is"],
])("so is a large one that %s", async (_title, change, how) => {
  const root = temporaryTree({ large: { file: Buffer.alloc(700_000) } });
  const entries = scanEntries(root);
  change(join(root, "large"));
  const kept = new Kept();
  await expect(pack(root, kept, { entries: () => entries })).rejects.toThrow(how);
  expect(kept.files()).toEqual([]);
});

test("an abort before anything is packed is heeded", async () => {
  const kept = new Kept();
  const signal = AbortSignal.abort(new Error("no"));
  await expect(pack(temporaryTree({ a: "a" }), kept, { signal })).rejects.toThrow("no");
  expect(kept.files()).toEqual([]);
});

test("blobs that cannot be written are an error of the output", async () => {
  const kept = new Kept();
  const blobs = { ...kept.blobs, scratch: async () => join(kept.dir, "missing/scratch") };
  await expect(pack(temporaryTree({ a: "a" }), kept, { blobs })).rejects.toMatchObject({
    code: "ERR_KILN_OUTPUT_UNWRITABLE",
  });
});

test("what no layer can hold is refused, and a file that cannot be read", async () => {
  const root = temporaryTree({ odd: "x" });
  const odd = scanEntries(root).map((each) => ({
    ...each,
    xattrs: new Map([["user.a=b", Buffer.from("1")]]),
  }));
  const kept = new Kept();
  await expect(pack(root, kept, { entries: () => odd })).rejects.toMatchObject({
    code: "ERR_KILN_UNSUPPORTED",
    hint: expect.stringContaining("equals sign") as string,
  });
  const locate = (): string => `/${"x".repeat(300)}`;
  await expect(pack(root, kept, { locate })).rejects.toMatchObject({
    code: "ERR_KILN_FILE_UNREADABLE",
    message: expect.stringContaining("too long") as string,
  });
  expect(kept.files()).toEqual([]);
});

test("devices, pipes and sockets go in without being opened for their content", async () => {
  const kept = new Kept();
  const device = FileMode.DEVICE | FileMode.CHARACTER_DEVICE;
  const entries = [
    entry({ path: "null", mode: (device | 0o666) >>> 0, sha256: "", devmajor: 1, devminor: 3 }),
    entry({ path: "pipe", mode: (FileMode.NAMED_PIPE | 0o640) >>> 0, sha256: "" }),
  ];
  const { layers } = await pack("/nowhere", kept, {
    entries: () => entries,
    target: { prefix: "", makeDirs: [] },
    compression: "uncompressed",
  });
  const listed = execFileSync("tar", ["-tv", "-f", join(kept.dir, layers[0]!.digest)], {
    env: { TZ: "UTC", LC_ALL: "C" },
    encoding: "utf8",
  });
  expect(listed.replaceAll(/ +/g, " ").trim().split("\n")).toEqual([
    "crw-rw-rw- 0/0 1,3 1980-01-01 00:00 null",
    "prw-r----- 0/0 0 1980-01-01 00:00 pipe",
  ]);
});

test("times are kept where they are asked for, to the nanosecond", async () => {
  const root = temporaryTree({ "dir/file": "x" });
  const entries = scanEntries(root).map((each) => ({ ...each, modTime: 1_700_000_000_123_456_789n }));
  const kept = new Kept();
  const unpacked = unpack(await pack(root, kept, { entries: () => entries, mtime: "keep" }), kept);
  const times = scanEntries(unpacked).map(({ path, modTime }) => [path, modTime]);
  expect(times).toEqual([
    ["app", BigInt(seconds) * 10n ** 9n],
    ["app/src", BigInt(seconds) * 10n ** 9n],
    ["app/src/dir", 1_700_000_000_123_456_789n],
    ["app/src/dir/file", 1_700_000_000_123_456_789n],
  ]);
});

test("links of a volatile file go with it", async () => {
  const root = temporaryTree({
    "a/first": "shared",
    "b/other": "other",
    "c/second": { link: "a/first" },
  });
  const kept = new Kept();
  const packed = await pack(root, kept, { volatile: new Set(["a/first"]) });
  expect(packed.layers.map(({ files }) => files)).toEqual([1, 2]);
  const unpacked = join(unpack(packed, kept), "app/src");
  expect(essence(scanEntries(unpacked))).toEqual(essence(scanEntries(root)));
});

test("progress tells what is ready and what was packed", async () => {
  const root = variedTree(20);
  const kept = new Kept();
  const seen: unknown[] = [];
  const { layers } = await pack(root, kept, {
    volatile: new Set(["z-large"]),
    onProgress: (progress) => seen.push(progress),
  });
  expect(seen).toHaveLength(layers.length);
  const bytes = scanEntries(root)
    .filter(({ linkname }) => linkname === "")
    .reduce((sum, { size }) => sum + size, 0);
  expect(seen.at(-1)).toEqual({ ready: layers.length, packed: layers.length, bytes });
});
