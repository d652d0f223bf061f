import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { patchTree } from "../../../src/cache/patch-tree.js";
import { resolveScan, type ScanSource } from "../../../src/cache/scan-scope.js";
import { scanTree } from "../../../src/cache/scan-tree.js";
import { readStoredTree, type StoredTree } from "../../../src/cache/stored-tree.js";
import { Pacer } from "../../../src/fsutil/pacer.js";
import { openTree } from "../../../src/fsutil/tree.js";
import { temporaryTree } from "../fsutil/temporary-tree.js";
import { expectedEntries } from "./expected-tree.js";
import { later, MemoryStore } from "./memory-store.js";

async function storedIn(index: MemoryStore): Promise<StoredTree> {
  const tree = readStoredTree((await index.readBytes("trees", "k")) as Uint8Array, () => false);
  if (tree === undefined) throw new Error("the scan left no tree");
  return tree;
}

async function scene(more: Partial<ScanSource> = {}) {
  const root = temporaryTree({
    "a/1": "one",
    "a/2": "two",
    "a/sub/3": "three",
    "b/4": "four",
    "b/linked": { link: "a/1" },
    "b/symlink": { symlink: "4" },
    "b/empty": { dir: true },
    top: "top",
  });
  const source = { kind: "dir", root, ...more } as ScanSource;
  const index = new MemoryStore();
  await scanTree(source, { index, key: "k", now: later });
  const at = (path: string): string => join(root, path);
  const patch = async (tree: StoredTree, now: () => number = later) =>
    patchTree(tree, {
      scope: resolveScan(source),
      answers: new Uint8Array(tree.shape.directories),
      startedAt: now(),
      pacer: new Pacer(),
      signal: new AbortController().signal,
    });
  return { root, source, index, at, patch };
}

test.each<[string, (at: (path: string) => string) => void, { filesRead: number; changed: boolean }]>([
  ["nothing", () => {}, { filesRead: 0, changed: false }],
  ["another content", (at) => writeFileSync(at("a/2"), "TWO and more"), { filesRead: 1, changed: true }],
  [
    "content of the same size",
    (at) => writeFileSync(at("a/sub/3"), "THREE"),
    { filesRead: 1, changed: true },
  ],
  [
    "a file saved as editors do, as a new one in its place",
    (at) => {
      writeFileSync(at("a/.2.tmp"), "TWO");
      renameSync(at("a/.2.tmp"), at("a/2"));
    },
    { filesRead: 1, changed: true },
  ],
  ["the same content again", (at) => writeFileSync(at("top"), "top"), { filesRead: 1, changed: false }],
  ["times alone", (at) => utimesSync(at("b/4"), 1, 2), { filesRead: 1, changed: false }],
  ["a file's permissions", (at) => chmodSync(at("b/4"), 0o700), { filesRead: 1, changed: false }],
  ["a directory's permissions", (at) => chmodSync(at("b/empty"), 0o700), { filesRead: 0, changed: false }],
  [
    "a directory by another with the same names",
    (at) => {
      renameSync(at("a/sub"), at("away"));
      mkdirSync(at("a/sub"));
      renameSync(at("away/3"), at("a/sub/3"));
      rmSync(at("away"), { recursive: true });
    },
    { filesRead: 1, changed: false },
  ],
  [
    "several",
    (at) => {
      for (const path of ["a/2", "a/sub/3", "b/4", "top"]) writeFileSync(at(path), "edited");
    },
    { filesRead: 4, changed: true },
  ],
])("a tree is brought up to date where it lies: %s", async (_what, change, told) => {
  const { root, source, index, at, patch } = await scene();
  change(at);
  const tree = await storedIn(index);
  expect(await patch(tree)).toMatchObject(told);
  const fresh = new MemoryStore();
  const walked = await scanTree(source, { index: fresh, key: "k", now: later });
  const again = await storedIn(fresh);
  for (const column of ["size", "ino", "mode", "mtimeMs", "ctimeMs", "mtimeNs", "flags", "sha256"] as const) {
    expect([column, ...tree[column]]).toEqual([column, ...again[column]]);
  }
  expect([...tree.directoryFlags]).toEqual([...again.directoryFlags]);
  // And a scan that has the tree from before ends with what a walk finds.
  const scanned = await scanTree(source, { index, key: "k", now: later });
  expect(scanned.manifest.digest).toBe(walked.manifest.digest);
  expect([...scanned.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
  expect(await scanTree(source, { index, key: "k", now: later })).toMatchObject({ filesRead: 0 });
});

test.each<[string, (at: (path: string) => string) => void]>([
  ["a new file", (at) => writeFileSync(at("a/new"), "")],
  ["a file less", (at) => rmSync(at("a/2"))],
  ["another name", (at) => renameSync(at("a/2"), at("a/two"))],
  ["a new directory", (at) => mkdirSync(at("c"))],
  ["a further link", (at) => linkSync(at("a/2"), at("b/4.link"))],
  ["a file with further links", (at) => writeFileSync(at("a/1"), "ONE")],
  [
    "a link in a file's place",
    (at) => {
      unlinkSync(at("top"));
      symlinkSync("a/2", at("top"));
    },
  ],
  [
    "a link's other target",
    (at) => {
      unlinkSync(at("b/symlink"));
      symlinkSync("5", at("b/symlink"));
    },
  ],
  [
    "a directory in a file's place",
    (at) => {
      unlinkSync(at("top"));
      mkdirSync(at("top"));
    },
  ],
  [
    "a file in a directory's place",
    (at) => {
      rmSync(at("b/empty"), { recursive: true });
      writeFileSync(at("b/empty"), "");
    },
  ],
  ["more bytes than are read at once", (at) => writeFileSync(at("top"), Buffer.alloc(17 * 1024 * 1024))],
])("a tree is left as it was, for a walk: %s", async (_what, change) => {
  const { source, index, at, patch } = await scene();
  writeFileSync(at("b/4"), "changed as well");
  change(at);
  const tree = await storedIn(index);
  const before = Buffer.from(tree.bytes);
  expect(await patch(tree)).toBeUndefined();
  expect(tree.bytes.equals(before)).toBe(true);
  const scanned = await scanTree(source, { index, key: "k", now: later });
  const fresh = await scanTree(source, { index: new MemoryStore(), key: "k", now: later });
  expect(scanned.manifest.digest).toBe(fresh.manifest.digest);
});

test("what was changed a moment ago is read again, until its times are old enough", async () => {
  const { source, index, at } = await scene();
  const scan = (now: () => number) => scanTree(source, { index, key: "k", now });
  writeFileSync(at("a/2"), "TWO");
  // As seen in the very tick of the change.
  const instant = later() + 1000;
  utimesSync(at("a/2"), instant / 1000, instant / 1000);
  expect(await scan(() => instant)).toMatchObject({ filesRead: 1 });
  expect(await scan(() => instant)).toMatchObject({ filesRead: 1 });
  const aMinuteLater = (): number => instant + 60_000;
  expect(await scan(aMinuteLater)).toMatchObject({ filesRead: 1 });
  expect(await scan(aMinuteLater)).toMatchObject({ filesRead: 0 });
});

test("files that patterns leave out are nobody's change", async () => {
  const { source, index, at } = await scene({ exclude: ["**/*.log"] } as Partial<ScanSource>);
  writeFileSync(at("a/new.log"), "");
  writeFileSync(at("a/2"), "TWO");
  const told: string[] = [];
  const options = { index, key: "k", now: later, onChanged: () => void told.push("changed") };
  expect(await scanTree(source, options)).toMatchObject({ filesRead: 1 });
  expect(told).toEqual(["changed"]);
  expect(await scanTree(source, options)).toMatchObject({ filesRead: 0 });
  utimesSync(at("b/4"), 1, 2);
  expect(await scanTree(source, options)).toMatchObject({ filesRead: 1 });
  // Its content is what it was.
  expect(told).toEqual(["changed"]);
});
