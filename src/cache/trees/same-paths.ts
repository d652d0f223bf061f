import { comparePaths } from "../../fsutil/byte-order.js";
import { type ComparedEntry, entryDifferences, type PathDifference } from "./entry-differences.js";
import { isSymlink } from "./posix-mode.js";
import { EntryFlag, type StoredTree, ViewFlag } from "./stored-tree.js";

/** Where more may differ, the trees are gone through path by path, which lets other work go on meanwhile. */
const candidateLimit = 10_000;
/** Entries whose digests are compared at once. */
const BLOCK = 64;
/** What makes an entry another one, of its flags. */
const TELLING = EntryFlag.LISTED | EntryFlag.SHARED;

/** A path that both trees have. */
export interface ChangedPath {
  readonly path: string;
  readonly what: readonly PathDifference[];
}

/**
 * What differs between two trees of the same paths, in the protocol's order, found column by column: most of a tree is
 * mostly as it was.
 *
 * `undefined` for trees that do not have the same paths, hard links and extended attributes, or differ in too much: those
 * are gone through path by path.
 */
export function samePathsDiff(before: StoredTree, after: StoredTree): readonly ChangedPath[] | undefined {
  if (!haveSamePaths(before, after)) return undefined;
  const entries = candidates(before, after);
  if (entries === undefined) return undefined;
  const changed: ChangedPath[] = [];
  for (const entry of entries) {
    const what = entryDifferences(compared(before, entry), compared(after, entry));
    if (what.length > 0) changed.push({ path: pathAt(after, entry), what });
  }
  return changed.sort((a, b) => comparePaths(a.path, b.path));
}

function haveSamePaths(before: StoredTree, after: StoredTree): boolean {
  const [a, b] = [before.shape, after.shape];
  return (
    a.entries === b.entries &&
    a.directories === b.directories &&
    before.names.equals(after.names) &&
    before.paths.equals(after.paths) &&
    before.extraJson.equals(after.extraJson) &&
    before.start.every((value, at) => value === after.start[at]) &&
    before.nameAt.every((value, at) => value === after.nameAt[at]) &&
    before.pathAt.every((value, at) => value === after.pathAt[at])
  );
}

/** Listed entries that may differ; `undefined` where there are too many, or files have other names together. */
function candidates(before: StoredTree, after: StoredTree): ReadonlySet<number> | undefined {
  const found = new Set<number>();
  const owned = ((before.view | after.view) & ViewFlag.KEEP_OWNERS) !== 0;
  const timed = (before.view & after.view & ViewFlag.KEEP_TIMES) !== 0;
  const shownAlike = before.view === after.view;
  const linksAlike = before.targets.equals(after.targets);
  for (let entry = 0; entry < before.shape.entries; entry += 1) {
    const flags = (before.flags[entry] ?? 0) & TELLING;
    if (flags !== ((after.flags[entry] ?? 0) & TELLING)) return undefined;
    if ((flags & EntryFlag.LISTED) === 0) continue;
    const [mode = 0, other = 0] = [before.mode[entry], after.mode[entry]];
    const symlinks = Number(isSymlink(mode)) + Number(isSymlink(other));
    // Of others it is a directory's number, or the first of a file's names.
    if (symlinks === 0 && before.link[entry] !== after.link[entry]) return undefined;
    if (
      (symlinks === 2 && !linksAlike) ||
      !shownAlike ||
      mode !== other ||
      (owned && (before.uid[entry] !== after.uid[entry] || before.gid[entry] !== after.gid[entry])) ||
      (timed && before.mtimeNs[entry] !== after.mtimeNs[entry])
    ) {
      found.add(entry);
    }
    if (found.size > candidateLimit) return undefined;
  }
  for (let from = 0; from < before.shape.entries; from += BLOCK) {
    const to = Math.min(from + BLOCK, before.shape.entries);
    if (sameDigests(before, after, from, to)) continue;
    for (let entry = from; entry < to; entry += 1) {
      const listed = ((before.flags[entry] ?? 0) & EntryFlag.LISTED) !== 0;
      if (listed && !sameDigests(before, after, entry, entry + 1)) found.add(entry);
    }
  }
  return found;
}

function sameDigests(before: StoredTree, after: StoredTree, from: number, to: number): boolean {
  return before.sha256.compare(after.sha256, 32 * from, 32 * to, 32 * from, 32 * to) === 0;
}

/** Further hard links are links to the same in both trees. */
function compared(tree: StoredTree, entry: number): ComparedEntry {
  return { tree, entry, link: isSymlink(tree.mode[entry] ?? 0) ? tree.targetOf(entry) : "" };
}

function pathAt(tree: StoredTree, entry: number): string {
  // The last directory that begins at or before the entry: those without children begin where the next one does.
  let low = 0;
  let high = tree.shape.directories - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((tree.start[middle] ?? 0) <= entry) low = middle;
    else high = middle - 1;
  }
  const name = tree.namesIn(low)[entry - (tree.start[low] ?? 0)] ?? "";
  const parent = tree.pathOf(low);
  return parent === "" ? name : `${parent}/${name}`;
}
