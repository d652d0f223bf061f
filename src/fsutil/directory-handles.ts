import { closeSync, constants, lstatSync, openSync, statSync } from "node:fs";
import { KilnError } from "../errors.js";
import { splitPath } from "./entry-path.js";
import { systemErrorCode, unwritable } from "./file-errors.js";

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const MAX_OPEN = 64;

/**
 * Reaches directories below a root without ever following a symlink.
 *
 * On Linux every directory on the way is opened by itself (`O_NOFOLLOW`) and what is inside is named through
 * its descriptor (`/proc/self/fd/N/name`, which does what `openat` does): a symlink put in a directory's
 * place afterwards, even by another stream into the same root, changes nothing. Elsewhere each component is
 * looked at before use, which leaves that race open.
 */
export class DirectoryHandles {
  readonly #root: string;
  readonly #descriptors: boolean;
  /** Open directories by path, least recently used first. */
  readonly #open = new Map<string, number>();

  /** `root` is an absolute path whose own components may be symlinks. */
  constructor(root: string, descriptors: boolean = hasDescriptorPaths()) {
    this.#root = root;
    this.#descriptors = descriptors;
  }

  /**
   * A path under which the directory can be used for the next call or two; its descriptor may be closed
   * later. Throws `ERR_KILN_UNSAFE_PATH` when some component is no directory but a symlink or file, and
   * `ERR_KILN_OUTPUT_UNWRITABLE` when it cannot be opened.
   */
  locate(directory: string): string {
    return this.#descriptors ? `/proc/self/fd/${this.#descriptor(directory)}` : this.#checked(directory);
  }

  /** Forgets a directory, and those inside it, when something else takes its place. */
  forget(directory: string): void {
    for (const [path, descriptor] of [...this.#open]) {
      if (path !== directory && !path.startsWith(`${directory}/`)) continue;
      this.#open.delete(path);
      closeSync(descriptor);
    }
  }

  /** Closes all descriptors. */
  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
  }

  #descriptor(directory: string): number {
    const known = this.#open.get(directory);
    if (known !== undefined) {
      this.#open.delete(directory);
      this.#open.set(directory, known);
      return known;
    }
    const opened = directory === "" ? this.#openRoot() : this.#openBelow(directory);
    this.#open.set(directory, opened);
    if (this.#open.size > MAX_OPEN) {
      const [oldest] = this.#open;
      if (oldest !== undefined) {
        this.#open.delete(oldest[0]);
        closeSync(oldest[1]);
      }
    }
    return opened;
  }

  #openRoot(): number {
    try {
      return openSync(this.#root, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      throw unwritable(this.#root, error);
    }
  }

  /** Goes down from the nearest directory that is open already, closing what it opens on the way. */
  #openBelow(directory: string): number {
    const names: string[] = [];
    let start = directory;
    while (start !== "" && !this.#open.has(start)) {
      const [parent, name] = splitPath(start);
      names.push(name);
      start = parent;
    }
    let current = this.#descriptor(start);
    let own = false;
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      try {
        const next = openSync(`/proc/self/fd/${current}/${name}`, DIRECTORY_FLAGS);
        if (own) closeSync(current);
        current = next;
        own = true;
      } catch (error) {
        if (own) closeSync(current);
        throw this.#refusal(directory, error);
      }
    }
    return current;
  }

  #checked(directory: string): string {
    let path = this.#root;
    for (const name of directory === "" ? [] : directory.split("/")) {
      path = `${path}/${name}`;
      let isDirectory: boolean;
      try {
        isDirectory = lstatSync(path).isDirectory();
      } catch (error) {
        throw this.#refusal(directory, error);
      }
      if (!isDirectory) throw this.#refusal(directory, undefined);
    }
    return path;
  }

  #refusal(directory: string, error: unknown): KilnError {
    const code = systemErrorCode(error);
    if (code !== undefined && code !== "ENOTDIR" && code !== "ELOOP") {
      return unwritable(`${this.#root}/${directory}`, error);
    }
    return new KilnError(
      "ERR_KILN_UNSAFE_PATH",
      `refused to write through ${JSON.stringify(directory)} in ${this.#root}: it is a symlink or no directory`,
      { cause: error },
    );
  }
}

/** Whether directories can be reached through descriptors: Linux with `/proc` mounted. */
export function hasDescriptorPaths(): boolean {
  if (process.platform !== "linux") return false;
  try {
    return statSync("/proc/self/fd").isDirectory();
  } catch {
    return false;
  }
}
