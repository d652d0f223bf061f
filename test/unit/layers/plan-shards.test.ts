import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { comparePaths } from "../../../src/fsutil/byte-order.js";
import { FileMode } from "../../../src/fsutil/file-mode.js";
import type { ManifestEntry } from "../../../src/fsutil/manifest-entry.js";
import { type PlannedShard, planShards, type ShardOptions } from "../../../src/layers/plan-shards.js";
import { randomNumbers } from "./random-numbers.js";
import { entry } from "./scan-entries.js";

const directory = (path: string, mode = 0o755): ManifestEntry =>
  entry({ path, mode: (FileMode.DIRECTORY | mode) >>> 0, sha256: "" });

const file = (path: string, size: number, content: string): ManifestEntry =>
  entry({ path, size, sha256: createHash("sha256").update(content).digest("hex") });

const mib = 1024 * 1024;

function plan(
  entries: readonly ManifestEntry[],
  options: Partial<ShardOptions> = {},
): Promise<readonly PlannedShard[]> {
  return planShards({
    entries: () => entries,
    target: { prefix: "app", makeDirs: ["app"] },
    mtime: { seconds: 0 },
    compression: "gzip",
    ...options,
  });
}

const keys = async (entries: readonly ManifestEntry[], options?: Partial<ShardOptions>): Promise<string[]> =>
  (await plan(entries, options)).map(({ key }) => key);

/** A tree of so many files in directories of all sizes. */
function tree(files: number, random: () => number): ManifestEntry[] {
  const entries = new Map<string, ManifestEntry>();
  let parent = "";
  for (let index = 0; index < files; index += 1) {
    if (random() < 0.05) {
      const depth = Math.floor(random() * 4);
      parent = parent.split("/").slice(0, depth).concat(`d${index}`).join("/");
      const parts = parent.split("/");
      for (const [at] of parts.entries()) {
        const path = parts.slice(0, at + 1).join("/");
        entries.set(path, directory(path));
      }
    }
    const path = `${parent}${parent === "" ? "" : "/"}f${index}.js`;
    entries.set(path, file(path, Math.floor(random() * 5000), path));
  }
  return sorted([...entries.values()]);
}

const sorted = (entries: readonly ManifestEntry[]): ManifestEntry[] =>
  [...entries].sort((a, b) => comparePaths(a.path, b.path));

const changedFrom = (before: readonly string[], after: readonly string[]): number =>
  after.filter((key) => !before.includes(key)).length;

test("a file's change alters its shard alone, one that comes or goes seldom more than that", async () => {
  const random = randomNumbers(7);
  const entries = tree(6000, random);
  const before = await keys(entries);
  expect(before.length).toBeGreaterThan(6);
  const pick = (): number => {
    for (;;) {
      const index = Math.floor(random() * entries.length);
      if (entries[index]?.sha256 !== "") return index;
    }
  };
  const counts = { changed: [] as number[], added: [] as number[], removed: [] as number[] };
  for (let round = 0; round < 12; round += 1) {
    const index = pick();
    const old = entries[index]!;
    const changed = entries.with(index, file(old.path, old.size + 7, "another"));
    counts.changed.push(changedFrom(before, await keys(changed)));
    counts.removed.push(changedFrom(before, await keys(entries.toSpliced(index, 1))));
    const added = sorted([...entries, file(`${old.path}-${round}`, 10, "new")]);
    counts.added.push(changedFrom(before, await keys(added)));
  }
  expect(counts.changed).toEqual(counts.changed.map(() => 1));
  const others = [...counts.added, ...counts.removed];
  expect(others.filter((count) => count > 1).length).toBeLessThanOrEqual(2);
  expect(Math.max(...others)).toBeLessThanOrEqual(3);
});

test("shards are bounded in number and alike in size", async () => {
  const entries = tree(20_000, randomNumbers(3));
  for (const maxShards of [1, 2, 7, 32]) {
    const shards = await plan(entries, { maxShards });
    expect(shards.length).toBeLessThanOrEqual(maxShards);
    expect(shards.length).toBeGreaterThan(maxShards * 0.45);
    const files = shards.map((shard) => shard.files);
    expect(files.reduce((sum, count) => sum + count, 0)).toBe(20_000);
    expect(Math.max(...files)).toBeLessThan((3 * 20_000) / maxShards + 1);
  }
});

test("a small tree is one shard, whatever it may be cut into", async () => {
  const shards = await plan(tree(900, randomNumbers(4)));
  expect(shards).toMatchObject([{ files: 900, volatile: false }]);
});

test("large files stand alone, and never make more shards than there may be", async () => {
  const few = sorted([
    ...Array.from({ length: 300 }, (_, index) => file(`n${index}`, 100, `${index}`)),
    file("n150-model", 1024 * mib, "model"),
  ]);
  expect((await plan(few)).map(({ bytes }) => bytes > mib)).toEqual([false, true, false]);
  const many = Array.from({ length: 200 }, (_, index) =>
    file(`f${1000 + index}`, index % 2 === 0 ? 700 * mib : 10, `${index}`),
  );
  const shards = await plan(many, { maxShards: 8 });
  expect(shards.length).toBeLessThanOrEqual(8);
  expect(shards.length).toBeGreaterThan(2);
});

test("keys depend on all that goes into a layer, and on nothing else", async () => {
  const base = entry({ path: "f", size: 3 });
  const own = directory("d");
  const before = await keys([own, base]);
  const options: Partial<ShardOptions>[] = [
    { target: { prefix: "app", makeDirs: [] } },
    { target: { prefix: "srv", makeDirs: ["srv"] } },
    { mtime: { seconds: 1 } },
    { mtime: "keep" },
    { compression: "uncompressed" },
  ];
  const edits: ManifestEntry[][] = [
    [directory("d", 0o700), base],
    [own, { ...base, path: "g" }],
    [own, { ...base, mode: 0o755 }],
    [own, { ...base, mode: (FileMode.SETUID | 0o644) >>> 0 }],
    [own, { ...base, size: 4 }],
    [own, { ...base, sha256: "0".repeat(64) }],
    [own, { ...base, xattrs: new Map([["user.a", Buffer.from("1")]]) }],
    [own, { ...base, xattrs: new Map([["user.a", Buffer.from("2")]]) }],
    [own, { ...base, mode: (FileMode.SYMLINK | 0o777) >>> 0, linkname: "a" }],
    [own, { ...base, mode: (FileMode.SYMLINK | 0o777) >>> 0, linkname: "b" }],
    [own, { ...base, mode: (FileMode.DEVICE | 0o644) >>> 0, devmajor: 1 }],
    [own, { ...base, mode: (FileMode.DEVICE | 0o644) >>> 0, devminor: 1 }],
    [own, { ...base, mode: (FileMode.DEVICE | FileMode.CHARACTER_DEVICE | 0o644) >>> 0, devminor: 1 }],
    [own, { ...base, mode: (FileMode.NAMED_PIPE | 0o644) >>> 0 }],
  ];
  const all = [
    before,
    ...(await Promise.all(options.map((each) => keys([own, base], each)))),
    ...(await Promise.all(edits.map((each) => keys(each)))),
  ];
  expect(new Set(all.map(String)).size).toBe(all.length);
  expect(all.every((each) => each.length === 1)).toBe(true);

  const elsewhere = [
    { ...own, uid: 7, gid: 8, modTime: 5n },
    { ...base, uid: 9, gid: 10, modTime: 6n },
  ];
  expect(await keys(elsewhere)).toEqual(before);
  expect(await keys(elsewhere, { mtime: "keep" })).not.toEqual(await keys([own, base], { mtime: "keep" }));
  const several = (names: string[]): ManifestEntry[] => [
    { ...base, xattrs: new Map(names.map((name) => [name, Buffer.from("v")])) },
  ];
  expect(await keys(several(["user.b", "user.a"]))).toEqual(await keys(several(["user.a", "user.b"])));
});

test("volatile files make the last shard, and leave the others as they are", async () => {
  const entries = tree(3000, randomNumbers(5));
  const before = await plan(entries);
  const paths = entries.filter(({ sha256 }) => sha256 !== "").map(({ path }) => path);
  const chosen = new Set([paths[10]!, paths[11]!]);
  const after = await plan(entries, { volatile: chosen });
  expect(after.map(({ volatile }) => volatile)).toEqual([...before.map(() => false), true]);
  expect(after.at(-1)?.files).toBe(2);
  const stable = after.slice(0, -1).map(({ key }) => key);
  expect(
    changedFrom(
      before.map(({ key }) => key),
      stable,
    ),
  ).toBe(1);

  const edited = entries.map((each) => (chosen.has(each.path) ? { ...each, sha256: "1".repeat(64) } : each));
  const later = await plan(edited, { volatile: chosen });
  expect(later.slice(0, -1).map(({ key }) => key)).toEqual(stable);
  expect(later.at(-1)?.key).not.toBe(after.at(-1)?.key);

  expect(await plan(entries, { volatile: new Set(["not/there"]) })).toEqual(before);
  const all = await plan(entries, { volatile: new Set(paths) });
  expect(all.filter(({ files }) => files > 0)).toMatchObject([{ files: 3000, volatile: true }]);
});

test("nothing but directories to be made is one shard, nothing at all is none", async () => {
  expect(await plan([])).toMatchObject([{ files: 0, bytes: 0 }]);
  expect(await plan([], { target: { prefix: "", makeDirs: [] } })).toEqual([]);
  expect(await plan([], { target: { prefix: "usr", makeDirs: [] } })).toEqual([]);
});

test("names that mean deletions in a layer, and files of unknown kinds, are refused", async () => {
  for (const path of [".wh.x", "a/.wh..wh..opq"]) {
    await expect(plan([directory("a"), entry({ path })])).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining(path) as string,
    });
  }
  expect(await plan([entry({ path: "a.wh.b" })])).toHaveLength(1);
  await expect(plan([entry({ path: "odd", mode: FileMode.IRREGULAR })])).rejects.toMatchObject({
    code: "ERR_KILN_UNSUPPORTED",
  });
});

test("wrong use is a programmer's error", async () => {
  for (const prefix of ["/app", "app/", "a//b", "../x", "./x"]) {
    await expect(plan([], { target: { prefix, makeDirs: [] } })).rejects.toThrow(TypeError);
  }
  await expect(plan([], { target: { prefix: "a/b", makeDirs: ["c"] } })).rejects.toThrow(TypeError);
  await expect(plan([], { maxShards: 0 })).rejects.toThrow(TypeError);
  await expect(plan([entry({ path: "b", linkname: "a" })])).rejects.toThrow("lacks");
  await expect(plan([entry({ path: "b", sha256: "" })])).rejects.toThrow("no digest of b");
});

test("the event loop turns while a large tree is planned, and an abort is heeded", async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 1);
  await expect(plan(tree(60_000, randomNumbers(6)), { signal: stop.signal })).rejects.toThrow("enough");
});
