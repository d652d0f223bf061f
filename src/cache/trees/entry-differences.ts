import { FileMode } from "../../fsutil/file-mode.js";
import { isRegular } from "./posix-mode.js";
import { type StoredTree, ViewFlag } from "./stored-tree.js";
import { shownMode } from "./tree-view.js";

/** In what a path differs. `"kind"`: it is another kind of file, the rest is then not looked at. */
export type PathDifference =
  | "kind"
  | "content"
  | "mode"
  | "owner"
  | "link"
  | "xattrs"
  | "device"
  /** Only where both manifests show times. */
  | "time";

/** An entry of a tree that is compared. */
export interface ComparedEntry {
  readonly tree: StoredTree;
  readonly entry: number;
  /** Where a symlink leads, or the path of a further hard link's first. */
  readonly link: string;
}

/** In what two entries of one path differ, as their trees' views show them. */
export function entryDifferences(before: ComparedEntry, after: ComparedEntry): readonly PathDifference[] {
  const [a, b] = [before.tree, after.tree];
  const [x, y] = [before.entry, after.entry];
  const [old, young] = [shown(before), shown(after)];
  if (((old ^ young) & FileMode.TYPE) !== 0) return ["kind"];
  const found: PathDifference[] = [];
  const sameContent = a.sha256.compare(b.sha256, 32 * y, 32 * y + 32, 32 * x, 32 * x + 32) === 0;
  if (isRegular(a.mode[x] ?? 0) && !sameContent) found.push("content");
  if (old !== young) found.push("mode");
  if (owner(a, a.uid, x) !== owner(b, b.uid, y) || owner(a, a.gid, x) !== owner(b, b.gid, y)) {
    found.push("owner");
  }
  if (before.link !== after.link) found.push("link");
  const [left, right] = [a.extras.get(x), b.extras.get(y)];
  if (JSON.stringify(left?.xattrs) !== JSON.stringify(right?.xattrs)) found.push("xattrs");
  if (JSON.stringify(left?.device) !== JSON.stringify(right?.device)) found.push("device");
  const timed = (a.view & b.view & ViewFlag.KEEP_TIMES) !== 0;
  if (timed && a.mtimeNs[x] !== b.mtimeNs[y]) found.push("time");
  return found;
}

function shown({ tree, entry }: ComparedEntry): number {
  return shownMode(tree.mode[entry] ?? 0, tree.view);
}

function owner(tree: StoredTree, ids: Uint32Array, entry: number): number {
  return (tree.view & ViewFlag.KEEP_OWNERS) === 0 ? 0 : (ids[entry] ?? 0);
}
