import type { FileStat } from "./file-stat.js";
import type { Visit, WalkEntry } from "./tree-filter.js";

/** What is known of a path once it has been looked at. */
export interface SourceStat {
  /** The stat as on disk, hard links not yet told apart from the files they are. */
  readonly stat: FileStat;
  /** The same for all hard links of one file; `undefined` when there is only one. */
  readonly inode: string | undefined;
}

/** A path met on a walk, not looked at yet. */
export interface SourceEntry extends WalkEntry {
  /** Looks at it. Returns `undefined` when it has vanished; throws `ERR_KILN_FILE_UNREADABLE`. */
  read(): SourceStat | undefined;
}

/** Where a tree's entries come from. */
export interface TreeSource {
  /** What the tree is on disk, for messages. */
  readonly root: string;
  /**
   * Hands every path to `visit`, depth-first, siblings in byte order. Yields often, so that the caller can let
   * the event loop turn.
   */
  walk(visit: Visit<SourceEntry>): Generator<void, void, void>;
  /** Where a path of the tree lies on disk. */
  locate(path: string): string;
  /** A symlink's target; `undefined` when the path is none or is not there. */
  readLink(path: string): string | undefined;
  /** The names inside a directory; none when it is no directory or cannot be read. */
  listNames(path: string): readonly string[];
}
