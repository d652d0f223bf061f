import { FileMode, fileModeFromPosix, normalizedMode } from "../../fsutil/file-mode.js";
import { isSymlink } from "./posix-mode.js";
import { type StoredTree, ViewFlag } from "./stored-tree.js";

/** An `st_mode` as Go's file mode, as a view shows it. A socket is an empty file. */
export function shownMode(mode: number, view: number): number {
  const own = (fileModeFromPosix(mode) & ~FileMode.SOCKET) >>> 0;
  return (view & ViewFlag.NORMALIZE) === 0 ? own : normalizedMode(own);
}

/** What a view shows of a stored tree's entries. */
export class TreeView {
  readonly keepsTimes: boolean;
  readonly #tree: StoredTree;
  readonly #keepsOwners: boolean;

  constructor(tree: StoredTree, view: number) {
    this.#tree = tree;
    this.#keepsOwners = (view & ViewFlag.KEEP_OWNERS) !== 0;
    this.keepsTimes = (view & ViewFlag.KEEP_TIMES) !== 0;
  }

  /** User id. */
  uid(entry: number): number {
    return this.#keepsOwners ? (this.#tree.uid[entry] ?? 0) : 0;
  }

  /** Group id. */
  gid(entry: number): number {
    return this.#keepsOwners ? (this.#tree.gid[entry] ?? 0) : 0;
  }

  /** A symlink's target, else empty. */
  target(entry: number): string {
    return isSymlink(this.#tree.mode[entry] ?? 0) ? this.#tree.targetOf(entry) : "";
  }
}
