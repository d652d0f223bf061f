import {
  type BigIntStats,
  type Dirent,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { KilnError } from "../errors.js";
import { isForbidden, isMissing, systemErrorCode, unreadable } from "./file-errors.js";
import { FileMode, fileModeFromPosix } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";
import { readSortedDirectory } from "./sorted-directory.js";
import type { Visit } from "./tree-filter.js";
import type { SourceEntry, SourceStat, TreeSource } from "./tree-source.js";
import { checkUtf8Name, readUtf8Link } from "./utf8-names.js";

/**
 * A directory on disk as the source of a tree. The root itself may be a symlink; below it none is followed.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND` when there is no such path and `ERR_KILN_FILE_UNREADABLE` when it is no
 * directory or cannot be looked at.
 */
export function openDirectorySource(directory: string): TreeSource {
  let root: string;
  try {
    root = realpathSync(directory);
    if (!statSync(root).isDirectory()) {
      throw new KilnError("ERR_KILN_FILE_UNREADABLE", `${directory} is not a directory`);
    }
  } catch (error) {
    if (error instanceof KilnError) throw error;
    if (!isMissing(error)) throw unreadable(directory, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no directory ${directory}`, { cause: error });
  }
  return new DirectorySource(root);
}

class DirectorySource implements TreeSource {
  readonly root: string;
  readonly #prefix: string;

  constructor(root: string) {
    this.root = root;
    this.#prefix = root.endsWith("/") ? root : `${root}/`;
  }

  locate(path: string): string {
    return this.#prefix + path;
  }

  *walk(visit: Visit<SourceEntry>): Generator<void, void, void> {
    const stack = [{ prefix: "", entries: yield* this.#open(undefined), next: 0 }];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const dirent = frame.entries[frame.next];
      frame.next += 1;
      if (dirent === undefined) {
        stack.pop();
        continue;
      }
      const entry = new DirectoryEntry(this.#prefix, frame.prefix + dirent.name, dirent);
      if (!visit(entry) && entry.isDirectory) {
        const prefix = `${entry.path}/`;
        stack.push({ prefix, entries: yield* this.#open(entry), next: 0 });
      }
      yield;
    }
  }

  *#open(entry: DirectoryEntry | undefined): Generator<void, readonly Dirent[], void> {
    const absolute = entry === undefined ? this.root : entry.absolute;
    try {
      entry?.checkName();
      return yield* readSortedDirectory(absolute, entry?.size ?? Number(lstatSync(absolute).size));
    } catch (error) {
      if (error instanceof KilnError) throw error;
      if (isMissing(error) && entry !== undefined) return [];
      // A directory that is only passed through, because something inside might be wanted, may stay closed.
      if (isForbidden(error) && entry?.size === undefined && entry !== undefined) return [];
      throw unreadable(absolute, error);
    }
  }

  readLink(path: string): string | undefined {
    try {
      return readlinkSync(this.locate(path));
    } catch (error) {
      if (isMissing(error) || systemErrorCode(error) === "EINVAL") return undefined;
      throw unreadable(this.locate(path), error);
    }
  }

  listNames(path: string): readonly string[] {
    const absolute = this.locate(path);
    try {
      return readdirSync(absolute);
    } catch (error) {
      if (isMissing(error)) return [];
      throw unreadable(absolute, error);
    }
  }
}

class DirectoryEntry implements SourceEntry {
  readonly absolute: string;
  readonly path: string;
  readonly isDirectory: boolean;
  /** Its own size on disk, once it has been looked at. */
  size: number | undefined;
  readonly #dirent: Dirent;

  constructor(rootPrefix: string, path: string, dirent: Dirent) {
    this.absolute = rootPrefix + path;
    this.path = path;
    this.isDirectory = dirent.isDirectory();
    this.#dirent = dirent;
  }

  read(): SourceStat | undefined {
    try {
      this.checkName();
      const found = lstatSync(this.absolute, { bigint: true });
      // Something else has taken its place since the directory was read: gone, as far as this walk goes.
      if (found.isDirectory() !== this.isDirectory) return undefined;
      this.size = Number(found.size);
      const linkname = found.isSymbolicLink() ? readUtf8Link(this.absolute) : "";
      const shared = found.nlink > 1n && !found.isDirectory() && !found.isSymbolicLink();
      return {
        stat: toFileStat(this.path, found, linkname),
        inode: shared ? `${found.dev}:${found.ino}` : undefined,
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error instanceof KilnError ? error : unreadable(this.absolute, error);
    }
  }

  /** Refuses a name that is no UTF-8. */
  checkName(): void {
    const { name } = this.#dirent;
    checkUtf8Name(this.absolute.slice(0, -name.length), name);
  }
}

/** Builds the stat of a path from what the operating system says about it. */
export function toFileStat(path: string, found: BigIntStats, linkname: string): FileStat {
  const mode = fileModeFromPosix(Number(found.mode));
  const [devmajor, devminor] = (mode & FileMode.DEVICE) === 0 ? [0, 0] : deviceNumbers(found.rdev);
  return {
    path,
    // A socket travels as an empty file, as tar knows no sockets.
    mode: (mode & ~FileMode.SOCKET) >>> 0,
    uid: Number(found.uid),
    gid: Number(found.gid),
    size: (mode & FileMode.DIRECTORY) === 0 ? Number(found.size) : 0,
    modTime: found.mtimeNs,
    linkname,
    devmajor,
    devminor,
    xattrs: undefined,
  };
}

/** Major and minor number of a device, from Linux's `st_rdev`. */
export function deviceNumbers(rdev: bigint): readonly [major: number, minor: number] {
  return [Number((rdev >> 8n) & 0xfffn), Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n))];
}
