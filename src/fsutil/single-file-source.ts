import { realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { KilnError } from "../errors.js";
import { toFileStat } from "./directory-source.js";
import { isMissing, unreadable } from "./file-errors.js";
import type { Visit } from "./tree-filter.js";
import type { SourceEntry, SourceStat, TreeSource } from "./tree-source.js";

/**
 * One regular file as the source of a tree, under a name of its own. A symlink is followed once, here; the
 * file's stat is taken at each walk.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` when it is no regular file, or
 * `ERR_KILN_INVALID_ARGUMENT` for a name that is none.
 */
export function openSingleFileSource(path: string, name: string = basename(path)): TreeSource {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${JSON.stringify(name)} is not a file name`);
  }
  const source = new SingleFileSource(resolveFile(path), name);
  if (source.stat() === undefined) {
    throw new KilnError("ERR_KILN_FILE_UNREADABLE", `${path} is not a regular file`);
  }
  return source;
}

function resolveFile(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (!isMissing(error)) throw unreadable(path, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no file ${path}`, { cause: error });
  }
}

class SingleFileSource implements TreeSource {
  readonly root: string;
  readonly #file: string;
  readonly #name: string;

  constructor(file: string, name: string) {
    this.root = dirname(file);
    this.#file = file;
    this.#name = name;
  }

  *walk(visit: Visit<SourceEntry>): Generator<void, void, void> {
    visit({ path: this.#name, isDirectory: false, read: () => this.stat() });
    yield;
  }

  stat(): SourceStat | undefined {
    try {
      const found = statSync(this.#file, { bigint: true });
      if (!found.isFile()) return undefined;
      return { stat: toFileStat(this.#name, found, ""), inode: undefined };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(this.#file, error);
    }
  }

  locate(): string {
    return this.#file;
  }

  readLink(): undefined {
    return undefined;
  }

  listNames(path: string): readonly string[] {
    return path === "" ? [this.#name] : [];
  }
}
