import { KilnError } from "../errors.js";
import { compareNames } from "./byte-order.js";
import { checkEntryPath, checkLinkTarget, splitPath } from "./entry-path.js";
import { FileMode, isDirectoryMode, isRegularMode, isSymlinkMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";

/** The type bits that one file can have. */
const KINDS: ReadonlySet<number> = new Set([
  0,
  FileMode.DIRECTORY,
  FileMode.SYMLINK,
  FileMode.DEVICE,
  FileMode.DEVICE | FileMode.CHARACTER_DEVICE,
  FileMode.NAMED_PIPE,
  FileMode.SOCKET,
  FileMode.IRREGULAR,
]);

interface OpenDirectory {
  readonly path: string;
  last: string;
}

/**
 * Checks a listing as it comes in: safe paths, depth-first, each directory before what is inside it, siblings
 * in strictly rising byte order (so no path comes twice), hard links only to files listed before.
 */
export class ListingValidator {
  readonly #open: OpenDirectory[] = [{ path: "", last: "" }];
  /** Files that a hard link may name. */
  readonly #files = new Set<string>();

  /**
   * Takes the next entry. Throws `ERR_KILN_UNSAFE_PATH` for a path or link target that may not be, and
   * `ERR_KILN_PROTOCOL` for an entry that breaks the order, lies in no listed directory, or links to nothing.
   */
  check(stat: FileStat): void {
    checkEntryPath(stat.path);
    const [directory, name] = splitPath(stat.path);
    while (this.#open.length > 1 && !isInside(directory, this.#open.at(-1)?.path ?? "")) this.#open.pop();
    const parent = this.#open.at(-1);
    if (parent === undefined || parent.path !== directory) {
      throw refused(stat.path, "it lies in no directory of the listing");
    }
    if (parent.last !== "" && compareNames(parent.last, name) >= 0) {
      throw refused(stat.path, `it comes after ${JSON.stringify(parent.last)}`);
    }
    parent.last = name;
    this.#checkKind(stat);
  }

  #checkKind(stat: FileStat): void {
    if (!KINDS.has((stat.mode & FileMode.TYPE) >>> 0))
      throw refused(stat.path, "its mode is of no known kind");
    if (isDirectoryMode(stat.mode)) this.#open.push({ path: stat.path, last: "" });
    else if (isSymlinkMode(stat.mode)) checkLinkTarget(stat.path, stat.linkname);
    else if (isRegularMode(stat.mode) && stat.linkname === "") this.#files.add(stat.path);
    else if (isRegularMode(stat.mode) && !this.#files.has(stat.linkname)) {
      throw refused(stat.path, "it is a hard link to a file that was not listed before");
    }
  }
}

function isInside(path: string, directory: string): boolean {
  return directory === "" || path === directory || path.startsWith(`${directory}/`);
}

function refused(path: string, reason: string): KilnError {
  return new KilnError("ERR_KILN_PROTOCOL", `refused the entry ${JSON.stringify(path)}: ${reason}`);
}
