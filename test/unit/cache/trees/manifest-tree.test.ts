import { appendFileSync, chmodSync, lstatSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { manifestTree } from "../../../../src/cache/trees/manifest-tree.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { isDirectoryMode, isRegularMode } from "../../../../src/fsutil/file-mode.js";
import type { FileStat } from "../../../../src/fsutil/file-stat.js";
import { overlayTree } from "../../../../src/fsutil/overlay-tree.js";
import { openTree, type Tree } from "../../../../src/fsutil/tree.js";
import { listing, paths } from "../../fsutil/listing.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const rich = {
  "a/x": "content",
  "a/y": { link: "a/x" },
  "a-b": "between",
  "bin/run": { file: "#!", mode: 0o755 },
  empty: { dir: true },
  link: { symlink: "a/x" },
  "to-bin": { symlink: "bin" },
  z: { link: "a/x" },
} as const;

async function scanned(root: string, exclude: readonly string[] = []) {
  const source = { kind: "dir", root, exclude } as const;
  const { manifest } = await scanTree(source, { index: new MemoryStore(), key: "k", now: later });
  return { manifest, disk: openTree({ root, exclude }) };
}

async function content(tree: Tree, path: string, chunkBytes = 4): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tree.read(path, { chunkBytes })) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

const timeless = (stats: readonly FileStat[]) => stats.map((stat) => ({ ...stat, modTime: 0n }));

describe("a tree made of a manifest", () => {
  test("lists what the disk had, whatever filter is put before it", async () => {
    const root = temporaryTree(rich);
    const { manifest, disk } = await scanned(root, ["bin/none"]);
    const tree = manifestTree(manifest, disk);
    expect(tree.root).toBe(disk.root);
    const filters = [
      {},
      { exclude: ["a/x"] },
      { exclude: ["a*", "!a/y"] },
      { include: ["z", "a/y", "empty"] },
      { followPaths: ["link"] },
      { followPaths: ["to-bin/run"] },
      { followPaths: ["a/?", "none"] },
      { include: ["a"], exclude: ["**/x"] },
    ];
    const lists = [];
    for (const filter of filters) {
      const expected = await listing(disk.narrow(filter));
      expect(timeless(await listing(tree.narrow(filter)))).toEqual(timeless(expected));
      const kept = manifestTree(manifest, disk, { times: "keep" });
      expect(await listing(kept.narrow(filter))).toEqual(expected);
      lists.push(expected.map(({ path }) => path).join());
    }
    expect(new Set(lists).size).toBe(filters.length);
  });

  test("does not look at the disk", async () => {
    const root = temporaryTree(rich);
    const { manifest, disk } = await scanned(root);
    const before = await listing(manifestTree(manifest, disk));
    for (const name of ["a", "bin", "link"]) rmSync(join(root, name), { recursive: true });
    expect(await listing(manifestTree(manifest, disk))).toEqual(before);
    expect(await paths(manifestTree(manifest, disk).narrow({ followPaths: ["link"] }))).toEqual([
      ...["a/", "a/x", "link"],
    ]);
  });

  test("gives equal content equal times, in another place and at another time", async () => {
    const [one, two] = [temporaryTree(rich), temporaryTree(rich)];
    for (const path of ["a/x", "a-b", "bin/run"]) utimesSync(join(two, path), 1, 1);
    const lists = await Promise.all(
      [one, two].map(async (root) => {
        const { manifest, disk } = await scanned(root);
        return await listing(manifestTree(manifest, disk));
      }),
    );
    expect(lists[0]).toEqual(lists[1]);
    const from = BigInt(Date.UTC(1980, 0, 1)) * 1_000_000n;
    const to = BigInt(Date.UTC(2017, 0, 1)) * 1_000_000n;
    expect(lists[0]?.every(({ modTime }) => modTime >= from && modTime < to)).toBe(true);
    const linked = lists[0]?.filter(({ path }) => ["a/x", "a/y", "z"].includes(path));
    expect(new Set(linked?.map(({ modTime }) => modTime)).size).toBe(1);
    const directories = lists[0]?.filter(({ mode }) => isDirectoryMode(mode));
    expect(new Set(directories?.map(({ modTime }) => modTime)).size).toBe(1);
  });

  test("gives each change of a file another time", async () => {
    const root = temporaryTree({ f: "1" });
    const times = new Set<bigint | undefined>();
    const changes = [
      () => {},
      () => writeFileSync(join(root, "f"), "2"),
      () => writeFileSync(join(root, "f"), "22"),
      () => chmodSync(join(root, "f"), 0o600),
    ];
    for (const change of changes) {
      change();
      const { manifest, disk } = await scanned(root);
      times.add((await listing(manifestTree(manifest, disk)))[0]?.modTime);
    }
    expect(times.size).toBe(changes.length);
  });

  test("reads every file as it is on disk, by any of its links", async () => {
    const root = temporaryTree({ ...rich, big: { file: Buffer.alloc(300_000, "large") }, none: "" });
    const { manifest, disk } = await scanned(root);
    const tree = manifestTree(manifest, disk);
    let read = 0;
    for (const { path, mode } of await listing(tree)) {
      if (!isRegularMode(mode)) continue;
      expect(await content(tree, path, 65_536)).toBe(await content(disk, path, 65_536));
      read += 1;
    }
    expect(read).toBe(7);
  });

  test("reads further files from where they are", async () => {
    const root = temporaryTree({ a: "tree" });
    const file = join(temporaryTree({ x: "further" }), "x");
    const files = new Map([["sub/b", file]]);
    const disk = overlayTree(openTree({ root }), files);
    const { manifest } = await scanTree(
      { kind: "dir", root, files },
      { index: new MemoryStore(), key: "k", now: later },
    );
    const tree = manifestTree(manifest, disk);
    expect(await paths(tree)).toEqual(["a", "sub/", "sub/b"]);
    expect(await content(tree, "sub/b")).toBe("further");
  });
});

describe("a file that is not what was scanned", () => {
  async function readAfter(change: (at: string) => void, path = "d/f") {
    const root = temporaryTree({ "d/f": "0123456789", "d/g": "x" });
    const { manifest, disk } = await scanned(root);
    change(join(root, "d/f"));
    const received: number[] = [];
    const reading = (async () => {
      for await (const chunk of manifestTree(manifest, disk).read(path, { size: 10, chunkBytes: 4 })) {
        received.push(chunk.length);
      }
    })();
    const error = await reading.catch((reason: unknown) => reason);
    return { error, bytes: received.reduce((sum, length) => sum + length, 0) };
  }

  test.each([
    [
      "of the same size and time",
      (at: string) => {
        const { atime, mtime } = lstatSync(at);
        writeFileSync(at, "012345678X");
        utimesSync(at, atime, mtime);
      },
    ],
    ["that has grown", (at: string) => appendFileSync(at, "more")],
    ["that was cut short", (at: string) => writeFileSync(at, "0123")],
    ["that is gone", (at: string) => rmSync(at)],
    ["that is another", (at: string) => renameSync(join(at, "../g"), at)],
  ])("is never sent whole: one %s", async (_what, change) => {
    const { error, bytes } = await readAfter(change);
    expect(error).toMatchObject({
      code: "ERR_KILN_FILE_CHANGED",
      message: expect.stringContaining("d/f changed"),
      hint: expect.stringContaining("Build again"),
    });
    expect(bytes).toBeLessThan(10);
  });

  test("is one that the manifest does not have", async () => {
    const { error, bytes } = await readAfter((at) => writeFileSync(`${at}-new`, "0123456789"), "d/f-new");
    expect(error).toMatchObject({ code: "ERR_KILN_FILE_CHANGED" });
    expect(bytes).toBe(0);
  });
});
