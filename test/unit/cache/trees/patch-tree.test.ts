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
import { diffManifests } from "../../../../src/cache/trees/diff-manifests.js";
import { patchTree } from "../../../../src/cache/trees/patch-tree.js";
import { resolveScan, type ScanSource } from "../../../../src/cache/trees/scan-scope.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { readStoredTree, type StoredTree } from "../../../../src/cache/trees/stored-tree.js";
import { TreeManifest } from "../../../../src/cache/trees/tree-manifest.js";
import { Pacer } from "../../../../src/fsutil/pacer.js";
import { openTree } from "../../../../src/fsutil/tree.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";
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

test.each<[string, (at: (path: string) => string) => void, number, Record<string, string>]>([
  ["nothing", () => {}, 0, {}],
  ["another content", (at) => writeFileSync(at("a/2"), "TWO and more"), 1, { "a/2": "content" }],
  ["content of the same size", (at) => writeFileSync(at("a/sub/3"), "THREE"), 1, { "a/sub/3": "content" }],
  [
    "a file saved as editors do, as a new one in its place",
    (at) => {
      writeFileSync(at("a/.2.tmp"), "TWO");
      renameSync(at("a/.2.tmp"), at("a/2"));
    },
    1,
    { "a/2": "content" },
  ],
  ["the same content again", (at) => writeFileSync(at("top"), "top"), 1, {}],
  ["times alone", (at) => utimesSync(at("b/4"), 1, 2), 1, {}],
  ["a file's permissions", (at) => chmodSync(at("b/4"), 0o700), 1, { "b/4": "mode" }],
  ["a directory's permissions", (at) => chmodSync(at("b/empty"), 0o700), 0, { "b/empty": "mode" }],
  [
    "a directory by another with the same names",
    (at) => {
      renameSync(at("a/sub"), at("away"));
      mkdirSync(at("a/sub"));
      renameSync(at("away/3"), at("a/sub/3"));
      rmSync(at("away"), { recursive: true });
    },
    1,
    {},
  ],
  [
    "several, and more than content",
    (at) => {
      for (const path of ["top", "a/2", "a/sub/3", "b/4"]) writeFileSync(at(path), "edited");
      chmodSync(at("a/sub/3"), 0o711);
    },
    4,
    { "a/2": "content", "a/sub/3": "content,mode", "b/4": "content", top: "content" },
  ],
])("a tree is brought up to date where it lies: %s", async (what, change, filesRead, changed) => {
  const { root, source, index, at, patch } = await scene();
  const before = new TreeManifest(await storedIn(index));
  const entriesBefore = new Map([...before.entries()].map((entry) => [entry.path, entry]));
  change(at);
  const tree = await storedIn(index);
  const patched = await patch(tree);
  if (patched === undefined) throw new Error("it was left for a walk");
  expect(patched.filesRead).toBe(filesRead);
  expect(Object.fromEntries(patched.changed.map(({ path, what }) => [path, what.join()]))).toEqual(changed);
  for (const path of ["a", "a/2", "a/sub/3", "b/4", "b/empty", "top"]) {
    expect(patched.entryBefore(path)).toEqual(entriesBefore.get(path));
  }
  const fresh = new MemoryStore();
  const walked = await scanTree(source, { index: fresh, key: "k", now: later });
  const again = await storedIn(fresh);
  for (const column of ["size", "ino", "mode", "mtimeMs", "ctimeMs", "mtimeNs", "flags", "sha256"] as const) {
    expect([column, ...tree[column]]).toEqual([column, ...again[column]]);
  }
  expect([...tree.directoryFlags]).toEqual([...again.directoryFlags]);
  // And a scan that has the tree from before ends with what a walk finds, and what a comparison finds is different.
  const scanned = await scanTree(source, { index, key: "k", now: later });
  expect(scanned.manifest.digest).toBe(walked.manifest.digest);
  expect([...scanned.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
  if (what !== "nothing") {
    const { since } = scanned;
    expect(since?.digest).toBe(before.digest);
    expect(since?.changed).toEqual((await diffManifests(before, walked.manifest)).changed);
  }
  expect(await scanTree(source, { index, key: "k", now: later })).toMatchObject({ filesRead: 0 });
});

test("where times and owners count, they are told", async () => {
  const { source, index, at } = await scene({ times: "keep", ownership: "keep" } as Partial<ScanSource>);
  const before = new TreeManifest(await storedIn(index));
  utimesSync(at("b/4"), 1, 2);
  writeFileSync(at("a/2"), "TWO");
  const { manifest, since } = await scanTree(source, { index, key: "k", now: later });
  expect(since?.changed).toEqual([
    { path: "a/2", what: ["content", "time"] },
    { path: "b/4", what: ["time"] },
  ]);
  expect(since?.changed).toEqual((await diffManifests(before, manifest)).changed);
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
