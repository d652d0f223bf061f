import { lstatSync, statfsSync } from "node:fs";
import { isDirectory } from "./posix-mode.js";
import { EntryFlag, NO_LINK, type StoredTree } from "./stored-tree.js";

/**
 * File systems on which every change of a directory's names sets the directory's own times, as `statfs` numbers them on
 * Linux (`linux/magic.h`). Others are asked for the names: what lies behind FUSE or a network may keep no such times.
 */
const TELLING_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
]);
const QUIETLY = { throwIfNoEntry: false } as const;

/** Tells by a directory's own stat whether the names in it are still those that a stored tree has, without listing them. */
export class SameNames {
  readonly #tree: StoredTree;
  readonly #fileSystem: (path: string) => number;
  /** By directory: its entry, or {@link NO_LINK} for the root, which has none. */
  readonly #entries: Uint32Array;
  readonly #telling = new Map<number, boolean>();

  /**
   * @param fileSystem - Type of the file system that a path is on, as `statfs` numbers it. Default: the machine's answer
   * on Linux, elsewhere none that is known.
   */
  constructor(tree: StoredTree, fileSystem: (path: string) => number = typeOfFileSystem) {
    this.#tree = tree;
    this.#fileSystem = fileSystem;
    this.#entries = entriesOf(tree);
  }

  /**
   * `false` when only a list of the names tells: the directory's stat is another one, was too young when it was stored, or
   * is on a file system that may not keep it.
   *
   * @param path - The directory, absolute, with or without a slash at its end.
   */
  in(directory: number, path: string): boolean {
    const tree = this.#tree;
    const entry = this.#entries[directory] ?? NO_LINK;
    const needed = EntryFlag.LISTED | EntryFlag.UNTRUSTED | EntryFlag.OVERLAY;
    if (entry === NO_LINK || ((tree.flags[entry] ?? 0) & needed) !== EntryFlag.LISTED) return false;
    const stat = lstatSync(path.endsWith("/") ? path.slice(0, -1) : path, QUIETLY);
    return (
      stat !== undefined &&
      stat.ctimeMs === tree.ctimeMs[entry] &&
      stat.mtimeMs === tree.mtimeMs[entry] &&
      stat.ino === tree.ino[entry] &&
      stat.mode === tree.mode[entry] &&
      stat.dev === tree.dev[entry] &&
      this.#isTelling(stat.dev, path)
    );
  }

  #isTelling(device: number, path: string): boolean {
    const known = this.#telling.get(device);
    if (known !== undefined) return known;
    const telling = TELLING_FILE_SYSTEMS.has(this.#fileSystem(path));
    this.#telling.set(device, telling);
    return telling;
  }
}

function entriesOf({ shape, mode, link }: StoredTree): Uint32Array {
  const entries = new Uint32Array(shape.directories).fill(NO_LINK);
  for (let entry = 0; entry < shape.entries; entry += 1) {
    if (!isDirectory(mode[entry] ?? 0)) continue;
    const directory = link[entry] ?? NO_LINK;
    if (directory < shape.directories) entries[directory] = entry;
  }
  return entries;
}

function typeOfFileSystem(path: string): number {
  return process.platform === "linux" ? statfsSync(path).type : 0;
}
