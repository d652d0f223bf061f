import {
  chmodSync,
  constants,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { KilnError } from "../errors.js";
import { processMark } from "../internal/process-mark.js";
import { randomId } from "../internal/random-id.js";
import { isLeftover } from "../internal/unfinished-file.js";
import { DirectoryHandles } from "./directory-handles.js";
import { checkEntryPath, checkLinkTarget, splitPath } from "./entry-path.js";
import { isMissing, systemErrorCode, unwritable } from "./file-errors.js";
import { toNodeTime } from "./file-times.js";
import { SafeFile } from "./safe-file.js";

/** How renaming a file onto a directory fails. */
const DIRECTORY_IN_THE_WAY: ReadonlySet<string | undefined> = new Set(["EISDIR", "EEXIST", "ENOTEMPTY"]);

/** How names begin that files have until they are whole. */
const temporaryPrefix = ".kiln-";

/** What a directory gets once everything is in it. */
export interface EntryMetadata {
  /** The twelve bits of `chmod`. */
  readonly mode: number;
  /** Nanoseconds since the Unix epoch; kept to the microsecond. */
  readonly modTime: bigint;
}

/**
 * Writes files below a directory from paths that are not to be trusted.
 *
 * Whatever the paths are and whatever lies in the directory already, nothing outside it is created, changed
 * or opened: paths must be clean and relative ({@link checkEntryPath}), and no symlink below the root is
 * followed, at any component. What is in the way is replaced in one step (files, symlinks), kept
 * (directories for directories), or refused (a directory that is not empty where something else must go).
 * What a process that is no more left unfinished in a directory is removed.
 * Owners are the process's own.
 *
 * Calls are synchronous: each is a few system calls. All throw `ERR_KILN_UNSAFE_PATH` for paths,
 * `ERR_KILN_OUTPUT_EXISTS` for a directory in the way and `ERR_KILN_OUTPUT_UNWRITABLE` for what the system
 * refuses. Parents must exist, see {@link SafeRoot.makeDirectories}.
 */
export class SafeRoot {
  /** The root's real path. */
  readonly path: string;
  readonly #handles: DirectoryHandles;
  readonly #temporarySuffix = `.${processMark()}.${randomId()}.tmp`;
  #temporaries = 0;

  private constructor(path: string, handles: DirectoryHandles) {
    this.path = path;
    this.#handles = handles;
  }

  /**
   * Opens a directory as the root and makes it, with its parents, when it is missing. As the user named it,
   * symlinks on its own path are followed. `descriptors` is for tests of the way that is not Linux's.
   */
  static open(directory: string, options: { readonly descriptors?: boolean | undefined } = {}): SafeRoot {
    try {
      mkdirSync(directory, { recursive: true });
      const path = realpathSync(directory);
      const root = new SafeRoot(path, new DirectoryHandles(path, options.descriptors));
      root.#sweep("");
      return root;
    } catch (error) {
      throw unwritable(directory, error);
    }
  }

  /** Makes a directory, or keeps the one that is there; a file or symlink in its place is removed. */
  makeDirectory(path: string): void {
    const place = this.#place(path);
    this.#attempt(path, () => {
      try {
        mkdirSync(place, 0o700);
      } catch (error) {
        if (systemErrorCode(error) !== "EEXIST") throw error;
        const found = lstatSync(place);
        if (!found.isDirectory()) {
          unlinkSync(place);
          mkdirSync(place, 0o700);
        } else if ((found.mode & 0o700) !== 0o700) {
          // What comes must fit in, whatever the directory allowed before; its mode is set at the end.
          chmodSync(`${this.#handles.locate(path)}/.`, (found.mode & 0o7777) | 0o700);
        }
        if (found.isDirectory()) this.#sweep(path);
      }
    });
  }

  /** Makes a directory and those above it. */
  makeDirectories(path: string): void {
    checkEntryPath(path);
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      this.makeDirectory(path.slice(0, end));
    }
    this.makeDirectory(path);
  }

  /** Sets a directory's mode and time; last of all, as whatever happens inside changes its time. */
  finishDirectory(path: string, metadata: EntryMetadata): void {
    checkEntryPath(path);
    this.#attempt(path, () => {
      const inside = `${this.#handles.locate(path)}/.`;
      const time = toNodeTime(metadata.modTime);
      utimesSync(inside, time, time);
      chmodSync(inside, metadata.mode);
    });
  }

  /**
   * Begins a file under a temporary name in its own directory; it gets its name when it is committed. Every
   * file must be committed or discarded.
   */
  createFile(path: string): SafeFile {
    const [directory, name] = this.#split(path);
    const temporary = this.#temporaryName();
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const descriptor = this.#attempt(path, () =>
      openSync(`${this.#handles.locate(directory)}/${temporary}`, flags, 0o600),
    );
    return new SafeFile(descriptor, {
      commit: () => this.#attempt(path, () => this.#putInPlace(directory, temporary, name)),
      discard: () => this.#remove(directory, temporary),
      failure: (error) => unwritable(`${this.path}/${path}`, error),
    });
  }

  /** Makes a symlink. Its target is not looked at. */
  makeSymlink(path: string, target: string, modTime: bigint): void {
    const [directory, name] = this.#split(path);
    checkLinkTarget(path, target);
    this.#attempt(path, () => {
      const temporary = this.#temporaryName();
      const place = `${this.#handles.locate(directory)}/${temporary}`;
      const time = toNodeTime(modTime);
      symlinkSync(target, place);
      lutimesSync(place, time, time);
      this.#putInPlace(directory, temporary, name);
    });
  }

  /** Makes a further hard link to a regular file below the same root. */
  makeLink(path: string, existing: string): void {
    const [directory, name] = this.#split(path);
    const from = this.#place(existing);
    this.#attempt(path, () => {
      if (!lstatSync(from).isFile()) throw notAFile(path, existing);
      const temporary = this.#temporaryName();
      linkSync(from, `${this.#handles.locate(directory)}/${temporary}`);
      this.#putInPlace(directory, temporary, name);
      // Renaming one link of a file over another of the same file leaves both.
      this.#remove(directory, temporary);
    });
  }

  /** Releases what is held open. Files that are begun must have ended before. */
  close(): void {
    this.#handles.close();
  }

  /** A name that no entry has: its random part is not known to whoever chose the entries' names. */
  #temporaryName(): string {
    this.#temporaries += 1;
    return `${temporaryPrefix}${this.#temporaries}${this.#temporarySuffix}`;
  }

  /** Removes files that processes which were killed left unfinished in a directory, as far as it may be read. */
  #sweep(directory: string): void {
    const place = this.#handles.locate(directory);
    for (const name of attemptOr([], () => readdirSync(`${place}/.`))) {
      if (!name.startsWith(temporaryPrefix) || !isLeftover(name)) continue;
      // A directory may have such a name.
      attemptOr(undefined, () => unlinkSync(`${place}/${name}`));
    }
  }

  /** Gives a finished file its name. */
  #putInPlace(directory: string, temporary: string, name: string): void {
    const parent = this.#handles.locate(directory);
    try {
      try {
        renameSync(`${parent}/${temporary}`, `${parent}/${name}`);
      } catch (error) {
        if (!DIRECTORY_IN_THE_WAY.has(systemErrorCode(error))) throw error;
        rmdirSync(`${parent}/${name}`);
        this.#handles.forget(directory === "" ? name : `${directory}/${name}`);
        renameSync(`${parent}/${temporary}`, `${parent}/${name}`);
      }
    } catch (error) {
      this.#remove(directory, temporary);
      throw error;
    }
  }

  #remove(directory: string, name: string): void {
    try {
      unlinkSync(`${this.#handles.locate(directory)}/${name}`);
    } catch (error) {
      if (!(error instanceof KilnError) && !isMissing(error)) throw unwritable(this.path, error);
    }
  }

  #split(path: string): readonly [directory: string, name: string] {
    checkEntryPath(path);
    return splitPath(path);
  }

  #place(path: string): string {
    const [directory, name] = this.#split(path);
    return `${this.#handles.locate(directory)}/${name}`;
  }

  #attempt<T>(path: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof KilnError) throw error;
      const absolute = `${this.path}/${path}`;
      if (systemErrorCode(error) !== "ENOTEMPTY") throw unwritable(absolute, error);
      throw new KilnError("ERR_KILN_OUTPUT_EXISTS", `${absolute} is a directory that is not empty`, {
        hint: "Something else must go there. Move the directory away or choose another output directory.",
        cause: error,
      });
    }
  }
}

function notAFile(path: string, existing: string): KilnError {
  return new KilnError(
    "ERR_KILN_UNSAFE_PATH",
    `refused the hard link ${JSON.stringify(path)}: ${JSON.stringify(existing)} is no regular file`,
  );
}

/** What a call gives, or something else where the system refuses it. */
function attemptOr<T>(otherwise: T, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return otherwise;
  }
}
