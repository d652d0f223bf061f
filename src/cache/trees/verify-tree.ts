import { lstatSync } from "node:fs";
import { compareNames } from "../../fsutil/byte-order.js";
import { readSortedNames } from "../../fsutil/sorted-directory.js";
import type { TreeFilter } from "../../fsutil/tree-filter.js";
import { FilterScopes } from "./filter-scopes.js";
import { SameNames } from "./same-names.js";
import type { ScanScope } from "./scan-scope.js";
import { DirectoryFlag, type StoredTree } from "./stored-tree.js";

/** Answers of {@link TreeVerifier.verify}, as they are written down for a directory. 0 is no answer. */
export const Verified = { SAME: 1, DIFFERENT: 2 } as const;

/** Entries between two yields. */
const STRIDE = 64;
/** About the length of a name and what a directory stores beside it, to tell large directories. */
const ENTRY_BYTES = 32;
const QUIETLY = { throwIfNoEntry: false } as const;

/** Where a stored tree is on disk. Plain data, for threads. */
export type VerifyPlace = Pick<ScanScope, "prefix" | "overlay">;

type Overlay = ScanScope["overlay"];

/**
 * Tells whether directories of a stored tree are on disk as they were: the same names, each with the same device, inode,
 * size, mode, mtime and ctime. Reads no file, and lists no directory whose own stat tells as much: see {@link SameNames}.
 *
 * Times are compared as doubles of milliseconds, which Node's plain `lstat` gives, at half the cost of exact ones. They
 * tell times apart that are 0.25 µs from each other. A change always sets the ctime to the clock, and stats younger than
 * the clock's tick are never trusted, so two states that differ also differ in far more than that.
 */
export class TreeVerifier {
  readonly #tree: StoredTree;
  readonly #prefix: string;
  readonly #onDisk: boolean;
  readonly #overlay: Overlay;
  readonly #filter: TreeFilter | undefined;
  readonly #scopes: FilterScopes;
  readonly #sameNames: SameNames;

  constructor(tree: StoredTree, { prefix, overlay }: VerifyPlace, filter: TreeFilter | undefined) {
    this.#tree = tree;
    this.#prefix = prefix ?? "";
    this.#onDisk = prefix !== undefined;
    this.#overlay = overlay;
    this.#filter = filter;
    this.#scopes = new FilterScopes(filter);
    this.#sameNames = new SameNames(tree);
  }

  /** Looks at one directory; yields often. Whatever goes wrong is a difference: the whole walk says what it is. */
  *verify(directory: number): Generator<void, number, void> {
    if (((this.#tree.directoryFlags[directory] ?? 0) & DirectoryFlag.DIRTY) !== 0) return Verified.DIFFERENT;
    return (yield* this.#compare(directory, () => false)) ? Verified.SAME : Verified.DIFFERENT;
  }

  /**
   * The entries of one directory that have another stat on disk; `undefined` if it has other names, or if they cannot be
   * looked at. Yields often.
   */
  *differing(directory: number): Generator<void, readonly number[] | undefined, void> {
    const entries: number[] = [];
    const same = yield* this.#compare(directory, (entry) => entries.push(entry) > 0);
    return same ? entries : undefined;
  }

  /** Whether the names are the same; ends early if `goesOn` wants no more, told of an entry that is not. */
  *#compare(directory: number, goesOn: (entry: number) => boolean): Generator<void, boolean, void> {
    try {
      return yield* this.#look(directory, goesOn);
    } catch {
      return false;
    }
  }

  *#look(directory: number, goesOn: (entry: number) => boolean): Generator<void, boolean, void> {
    const { dev, ino, size, mode, mtimeMs, ctimeMs, start } = this.#tree;
    const first = start[directory] ?? 0;
    const count = (start[directory + 1] ?? 0) - first;
    const path = this.#tree.pathOf(directory);
    const inside = path === "" ? "" : `${path}/`;
    const base = this.#prefix + inside;
    const overlay = this.#overlay.get(path);
    const stored = this.#tree.namesIn(directory);
    const unlisted = overlay === undefined && this.#onDisk && this.#sameNames.in(directory, base);
    const names = unlisted ? stored : yield* this.#namesOnDisk(base, count, overlay?.keys());
    let at = 0;
    for (const name of names) {
      if (name !== stored[at]) {
        if (!this.#ignores(path, inside + name)) return false;
        continue;
      }
      const stat = lstatSync(overlay?.get(name) ?? base + name, QUIETLY);
      const entry = first + at;
      const differs =
        stat === undefined ||
        stat.ctimeMs !== ctimeMs[entry] ||
        stat.mtimeMs !== mtimeMs[entry] ||
        stat.size !== size[entry] ||
        stat.ino !== ino[entry] ||
        stat.mode !== mode[entry] ||
        stat.dev !== dev[entry];
      if (differs && !goesOn(entry)) return false;
      at += 1;
      if (at % STRIDE === 0) yield;
    }
    return at === count;
  }

  *#namesOnDisk(
    base: string,
    count: number,
    more: Iterable<string> | undefined,
  ): Generator<void, readonly string[], void> {
    const onDisk = this.#onDisk ? yield* readSortedNames(base, count * ENTRY_BYTES) : [];
    return more === undefined ? onDisk : mergeNames(onDisk, more);
  }

  /** Whether a name that the tree does not have is one that the filter leaves out, whatever it is. */
  #ignores(directory: string, path: string): boolean {
    const verdict = this.#filter?.judge(path, true, this.#scopes.of(directory));
    if (verdict === "through") return !lstatSync(this.#prefix + path).isDirectory();
    return verdict === "out";
  }
}

/** Names of a directory with those of further files in it, in byte order. */
export function mergeNames(names: readonly string[], more: Iterable<string>): readonly string[] {
  return [...new Set([...names, ...more])].sort(compareNames);
}

/** What a thread needs to help with {@link TreeVerifier}. Its memory is shared. */
export interface VerifyShare {
  /** Directory to be taken next, and how many threads have begun to help. */
  readonly next: Int32Array;
  /** By directory: {@link Verified}. */
  readonly answers: Uint8Array;
}

/** Takes directories until none is left; yields often. The same in every thread that helps. */
export function* verifyShare(
  verifier: TreeVerifier,
  { next, answers }: VerifyShare,
): Generator<void, void, void> {
  for (;;) {
    const directory = Atomics.add(next, 0, 1);
    if (directory >= answers.length) return;
    answers[directory] = yield* verifier.verify(directory);
    yield;
  }
}
