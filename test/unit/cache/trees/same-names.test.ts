import { mkdirSync, renameSync, rmSync, statfsSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SameNames } from "../../../../src/cache/trees/same-names.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { readStoredTree, type StoredTree } from "../../../../src/cache/trees/stored-tree.js";
import { skipUnless } from "../../fsutil/skip-unless.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const EXT4 = 0xef53;
const FUSE = 0x65735546;

async function stored(root: string, now: () => number = later): Promise<StoredTree> {
  const index = new MemoryStore();
  await scanTree({ kind: "dir", root }, { index, key: "k", now });
  const tree = readStoredTree((await index.readBytes("trees", "k")) as Uint8Array, () => false);
  if (tree === undefined) throw new Error("the scan left no tree");
  return tree;
}

/** Number of a directory in the tree. */
function numberOf(tree: StoredTree, path: string): number {
  const found = Array.from({ length: tree.shape.directories }, (_, at) => at).find(
    (at) => tree.pathOf(at) === path,
  );
  if (found === undefined) throw new Error(`no directory ${path}`);
  return found;
}

/** Waits until the file system's clock has moved on. */
async function tick(): Promise<void> {
  await new Promise((done) => setTimeout(done, 30));
}

async function scene() {
  const root = temporaryTree({ "sub/a": "a", "sub/b": "b", "other/c": "c" });
  const tree = await stored(root);
  const sub = numberOf(tree, "sub");
  const path = `${join(root, "sub")}/`;
  await tick();
  return { root, tree, sub, path, same: () => new SameNames(tree, () => EXT4).in(sub, path) };
}

test("a directory that nothing was done to has the same names", async () => {
  const { same } = await scene();
  expect(same()).toBe(true);
});

test("a changed file is no change of names", async () => {
  const { path, same } = await scene();
  writeFileSync(join(path, "a"), "changed");
  expect(same()).toBe(true);
});

test.each<[string, (path: string) => void]>([
  ["an added file", (path) => writeFileSync(join(path, "new"), "")],
  ["a removed file", (path) => rmSync(join(path, "a"))],
  ["a renamed file", (path) => renameSync(join(path, "a"), join(path, "z"))],
  [
    "a file that was added and removed again",
    (path) => {
      writeFileSync(join(path, "new"), "");
      rmSync(join(path, "new"));
    },
  ],
  [
    "an added file, and the directory's mtime set back",
    (path) => {
      writeFileSync(join(path, "new"), "");
      utimesSync(path, 1_000_000, 1_000_000);
    },
  ],
  [
    "another directory in its place",
    (path) => {
      renameSync(path, `${path.slice(0, -1)}-old`);
      mkdirSync(path);
    },
  ],
  ["nothing in its place", (path) => rmSync(path, { recursive: true })],
])("has to be listed after %s", async (_, edit) => {
  const { path, same } = await scene();
  edit(path);
  expect(same()).toBe(false);
});

test("a directory that was too young when it was stored has to be listed", async () => {
  const root = temporaryTree({ "sub/a": "a" });
  const tree = await stored(root, Date.now);
  const path = join(root, "sub");
  expect(new SameNames(tree, () => EXT4).in(numberOf(tree, "sub"), path)).toBe(false);
});

test("the root has no stat in the tree, and has to be listed", async () => {
  const { root, tree } = await scene();
  expect(new SameNames(tree, () => EXT4).in(0, root)).toBe(false);
});

test("on a file system that may not keep a directory's times, names are listed; each is asked once", async () => {
  const { root, tree, sub, path } = await scene();
  const asked: string[] = [];
  const names = new SameNames(tree, (at) => {
    asked.push(at);
    return FUSE;
  });
  expect(names.in(sub, path)).toBe(false);
  expect(names.in(numberOf(tree, "other"), join(root, "other"))).toBe(false);
  expect(asked).toEqual([path]);
});

test("the machine's own file system is asked by default", async (context) => {
  skipUnless(context, process.platform === "linux", "file systems have these numbers on Linux only");
  const { tree, sub, path } = await scene();
  const type = statfsSync(path).type;
  expect(new SameNames(tree).in(sub, path)).toBe(new SameNames(tree, () => type).in(sub, path));
});

test("a scan finds what was added below a directory that stands still", async () => {
  const root = temporaryTree({ "sub/deep/a": "a", "sub/b": "b" });
  const index = new MemoryStore();
  const scan = () => scanTree({ kind: "dir", root }, { index, key: "k", now: later });
  await scan();
  await tick();
  writeFileSync(join(root, "sub/deep/new"), "new");
  expect([...(await scan()).manifest.entries()].map(({ path }) => path)).toContain("sub/deep/new");
});
