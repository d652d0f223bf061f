import { realpathSync, statSync } from "node:fs";
import { KilnError } from "../errors.js";
import { comparePaths } from "./byte-order.js";
import { toFileStat } from "./directory-source.js";
import { isMissing, unreadable } from "./file-errors.js";
import { FileMode } from "./file-mode.js";
import type { Visit } from "./tree-filter.js";
import type { SourceEntry, SourceStat, TreeSource } from "./tree-source.js";

/** 1980-01-01T00:00:02Z in nanoseconds: the time of directories that are nowhere on disk. */
const directoryTime = 315_532_802_000_000_000n;

/**
 * Regular files from anywhere as the source of a tree, by their paths in it; the directories above them are made up. A
 * symlink is followed once, here; a file's stat is taken at each walk.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` for what is no regular file, and
 * `ERR_KILN_INVALID_ARGUMENT` for a path that is none, or below one of the files.
 */
export function openFilesSource(root: string, files: ReadonlyMap<string, string>): TreeSource {
  const found = new Map<string, string>();
  const dirs = new Set<string>();
  for (const [path, file] of files) {
    const parts = path.split("/");
    if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"))) {
      throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${JSON.stringify(path)} is no path within a tree`);
    }
    found.set(path, resolveFile(file));
    for (let count = 1; count < parts.length; count += 1) dirs.add(parts.slice(0, count).join("/"));
  }
  for (const dir of dirs) {
    if (!found.has(dir)) continue;
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${dir} is a file of the tree and a directory of it`);
  }
  return new FilesSource(root, found, dirs);
}

function resolveFile(path: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isFile()) return real;
  } catch (error) {
    if (!isMissing(error)) throw unreadable(path, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no file ${path}`, { cause: error });
  }
  throw new KilnError("ERR_KILN_FILE_UNREADABLE", `${path} is not a regular file`);
}

class FilesSource implements TreeSource {
  readonly root: string;
  readonly #files: ReadonlyMap<string, string>;
  readonly #dirs: ReadonlySet<string>;

  constructor(root: string, files: ReadonlyMap<string, string>, dirs: ReadonlySet<string>) {
    this.root = root;
    this.#files = files;
    this.#dirs = dirs;
  }

  *walk(visit: Visit<SourceEntry>): Generator<void, void, void> {
    let skipped: string | undefined;
    for (const path of [...this.#files.keys(), ...this.#dirs].sort(comparePaths)) {
      if (skipped !== undefined && path.startsWith(skipped)) continue;
      const isDirectory = this.#dirs.has(path);
      const skip = visit({ path, isDirectory, read: () => this.#stat(path) });
      skipped = skip && isDirectory ? `${path}/` : undefined;
      yield;
    }
  }

  #stat(path: string): SourceStat | undefined {
    const file = this.#files.get(path);
    if (file === undefined) return { stat: directoryStat(path), inode: undefined };
    try {
      const found = statSync(file, { bigint: true });
      return found.isFile() ? { stat: toFileStat(path, found, ""), inode: undefined } : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(file, error);
    }
  }

  locate(path: string): string {
    return this.#files.get(path) ?? this.root;
  }

  readLink(): undefined {
    return undefined;
  }

  listNames(path: string): readonly string[] {
    const prefix = path === "" ? "" : `${path}/`;
    const names = [...this.#files.keys(), ...this.#dirs].flatMap((each) => {
      const rest = each.startsWith(prefix) ? each.slice(prefix.length) : "";
      return rest === "" || rest.includes("/") ? [] : [rest];
    });
    return [...new Set(names)];
  }
}

function directoryStat(path: string): SourceStat["stat"] {
  return {
    ...{ path, mode: (FileMode.DIRECTORY | 0o755) >>> 0, uid: 0, gid: 0, size: 0, modTime: directoryTime },
    ...{ linkname: "", devmajor: 0, devminor: 0, xattrs: undefined },
  };
}
