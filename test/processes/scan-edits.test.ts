import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scanTree } from "../../src/cache/trees/scan-tree.js";
import { openTree } from "../../src/fsutil/tree.js";
import { expectedEntries } from "../unit/cache/trees/expected-tree.js";
import { later, MemoryStore } from "../unit/cache/trees/memory-store.js";
import { temporaryDirectory } from "../unit/fsutil/temporary-tree.js";

const STEPS = 30;
const exclude = ["**/*.skip", "d1", "!d1/keep*"];

/** Numbers that look random and are the same for the same seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function allPaths(root: string, wanted: "file" | "dir" | "any"): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((each) => wanted === "any" || (wanted === "dir" ? each.isDirectory() : each.isFile()))
    .map((each) => join(each.parentPath, each.name));
}

/** Makes one edit of a tree; some find nothing to do. */
function edit(root: string, random: (below: number) => number): void {
  const pick = (wanted: "file" | "dir" | "any"): string | undefined => {
    const found = allPaths(root, wanted);
    return found[random(found.length)];
  };
  const directory = random(3) === 0 ? root : (pick("dir") ?? root);
  const name = `${["a", "b", "d1", "keep", "z-", "é"][random(6)]}${random(3)}${random(5) === 0 ? ".skip" : ""}`;
  const target = join(directory, name);
  const exists = lstatSync(target, { throwIfNoEntry: false });
  const file = pick("file");
  const some = pick("any");
  switch (random(10)) {
    case 0:
    case 1:
      if (exists?.isDirectory() !== true) writeFileSync(target, String(random(1000)));
      break;
    case 2:
      if (exists === undefined) mkdirSync(target);
      break;
    case 3:
      if (exists === undefined) symlinkSync(`to-${random(3)}`, target);
      break;
    case 4:
      if (exists === undefined && file !== undefined) linkSync(file, target);
      break;
    case 5:
      if (some !== undefined) rmSync(some, { recursive: true });
      break;
    case 6:
      if (exists === undefined && some !== undefined && !target.startsWith(some)) renameSync(some, target);
      break;
    case 7:
      if (file !== undefined) chmodSync(file, random(2) === 0 ? 0o755 : 0o640);
      break;
    case 8: {
      if (file === undefined) break;
      // The same size, the same mtime.
      const { size, atime, mtime } = lstatSync(file);
      writeFileSync(file, "x".repeat(size).replace("x", String(random(10))));
      utimesSync(file, atime, mtime);
      break;
    }
    default:
      if (some !== undefined && !lstatSync(some).isSymbolicLink()) utimesSync(some, 1, random(1000));
  }
}

test.each([1, 2, 3])(
  "after any edits a scan that remembers equals one that does not (seed %i)",
  async (seed) => {
    const root = temporaryDirectory();
    const random = randomNumbers(seed);
    const index = new MemoryStore();
    for (let step = 0; step < STEPS; step += 1) {
      for (let edits = random(4); edits >= 0; edits -= 1) edit(root, random);
      // Now and then by a clock that cannot tell the last edits apart.
      const now = random(3) === 0 ? Date.now : later;
      const source = { kind: "dir", root, exclude } as const;
      const remembering = await scanTree(source, { index, key: "k", now });
      const fresh = await scanTree(source, { index: new MemoryStore(), key: "k", now });
      expect([seed, step, remembering.manifest.digest]).toEqual([seed, step, fresh.manifest.digest]);
      expect([...remembering.manifest.entries()]).toEqual([...fresh.manifest.entries()]);
      if (step % 6 !== 5) continue;
      expect([...fresh.manifest.entries()]).toEqual(await expectedEntries(openTree({ root, exclude })));
    }
  },
);
