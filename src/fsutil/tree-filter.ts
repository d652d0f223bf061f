import type { IgnorePattern } from "./ignore-pattern.js";
import { type DirectoryMatch, PatternMatcher } from "./pattern-matcher.js";

/** Which part of a tree is wanted. Lists are patterns with `.dockerignore` rules; an empty list is no filter. */
export interface TreeFilterOptions {
  /** Only paths that match, everything inside them, and the directories above them. */
  readonly include?: readonly string[] | undefined;
  /** No paths that match, unless a later `!` pattern takes them back. */
  readonly exclude?: readonly string[] | undefined;
  /**
   * Paths that are needed wherever symlinks lead: each is resolved within the root, and the links on the way
   * and the place they end at join `include`. Wildcards are allowed.
   */
  readonly followPaths?: readonly string[] | undefined;
}

/** One path met on a walk. */
export interface WalkEntry {
  readonly path: string;
  readonly isDirectory: boolean;
}

/** Takes an entry of a walk; `true` says that nothing inside it is wanted. */
export type Visit<E extends WalkEntry> = (entry: E) => boolean;

/**
 * What becomes of a path: `"in"` passes, `"out"` does not, and with a directory nothing inside it. `"through"` is a
 * directory that does not pass by itself, and does as soon as something inside it does.
 */
export type Verdict = "in" | "through" | "out";

/** How a directory fared, for what lies inside it. */
export interface FilterScope {
  readonly included: DirectoryMatch | undefined;
  readonly excluded: DirectoryMatch | undefined;
}

interface OpenDirectory<E extends WalkEntry> {
  readonly entry: E;
  readonly prefix: string;
  readonly scope: FilterScope;
  passedOn: boolean;
  skipped: boolean;
}

const NO_SCOPE: FilterScope = { included: undefined, excluded: undefined };
const META = /[*[\]?^\\]/;

/** Include and exclude patterns, compiled once and good for any number of walks. */
export class TreeFilter {
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  /** Plain paths that some include needs, if all includes are plain enough to tell. */
  readonly #includePrefixes: readonly string[] | undefined;
  /** The same for the exceptions among the excludes. */
  readonly #exceptionPrefixes: readonly string[] | undefined;

  /** Throws `ERR_KILN_INVALID_PATTERN`. */
  constructor(include: readonly string[], exclude: readonly string[]) {
    this.#include = include.length > 0 ? new PatternMatcher(include) : undefined;
    this.#exclude = exclude.length > 0 ? new PatternMatcher(exclude) : undefined;
    this.#includePrefixes = plainPrefixes(this.#include?.patterns.filter((pattern) => !pattern.exception));
    this.#exceptionPrefixes = plainPrefixes(this.#exclude?.patterns.filter((pattern) => pattern.exception));
  }

  /** Whether a path passes by itself, directories above a match not counted. */
  admits(path: string): boolean {
    return this.#include?.matches(path) !== false && this.#exclude?.matches(path) !== true;
  }

  /**
   * What becomes of one path on a walk that keeps its own track of directories. A name that is `"out"` as a directory is
   * as a file too, and one that is `"through"` is then out.
   *
   * @param inside - The scope of the directory that the path lies in; `undefined` at the top.
   * @param record - Filled in for a directory: its own scope, from {@link newScope}.
   */
  judge(path: string, isDirectory: boolean, inside: FilterScope | undefined, record?: FilterScope): Verdict {
    const wanted = this.#include?.matchesInside(path, inside?.included, record?.included) !== false;
    if (!wanted && isDirectory && !leadsTo(path, this.#includePrefixes)) return "out";
    const unwanted = this.#exclude?.matchesInside(path, inside?.excluded, record?.excluded) === true;
    if (unwanted && isDirectory && !leadsTo(path, this.#exceptionPrefixes)) return "out";
    if (wanted && !unwanted) return "in";
    return isDirectory ? "through" : "out";
  }

  /** Room for what {@link judge} records of a directory. */
  newScope(): FilterScope {
    return { included: this.#include?.newRecord(), excluded: this.#exclude?.newRecord() };
  }

  /**
   * Puts the filter before `next` for one depth-first walk. A directory that does not pass is handed on late,
   * right before the first path inside it that does; one that cannot contain such a path is pruned.
   */
  before<E extends WalkEntry>(next: Visit<E>): Visit<E> {
    const open: OpenDirectory<E>[] = [];
    return (entry) => {
      for (
        let top = open.at(-1);
        top !== undefined && !entry.path.startsWith(top.prefix);
        top = open.at(-1)
      ) {
        open.pop();
      }
      const parent = open.at(-1);
      if (parent?.skipped === true) return true;
      const scope = entry.isDirectory ? this.newScope() : NO_SCOPE;
      const verdict = this.judge(entry.path, entry.isDirectory, parent?.scope, scope);
      if (verdict === "out") return entry.isDirectory;

      const directory = { entry, prefix: `${entry.path}/`, scope, passedOn: false, skipped: false };
      if (verdict === "in") {
        if (!passOnParents(open, next)) return true;
        directory.passedOn = true;
        directory.skipped = next(entry);
      }
      if (entry.isDirectory) open.push(directory);
      return directory.skipped;
    };
  }
}

/** Hands on the directories above that were held back. Returns whether all of them were accepted. */
function passOnParents<E extends WalkEntry>(open: readonly OpenDirectory<E>[], next: Visit<E>): boolean {
  for (const directory of open) {
    if (directory.passedOn) continue;
    directory.passedOn = true;
    directory.skipped = next(directory.entry);
    if (directory.skipped) {
      // Whatever else is inside is not wanted either, however deep the walk is by now.
      for (const inner of open.slice(open.indexOf(directory))) inner.skipped = true;
      return false;
    }
  }
  return true;
}

/** The patterns as paths ending in a slash, or `undefined` when one has a wildcard before its end. */
function plainPrefixes(patterns: readonly IgnorePattern[] | undefined): readonly string[] | undefined {
  const plain = (patterns ?? []).map((pattern) => pattern.text.replace(/\/\*\*$/, "").replace(/\/\*$/, ""));
  return plain.some((text) => META.test(text)) ? undefined : plain.map((text) => `${text}/`);
}

/** Whether something inside a directory may match; certain only for plain paths. */
function leadsTo(directory: string, prefixes: readonly string[] | undefined): boolean {
  return prefixes === undefined || prefixes.some((prefix) => prefix.startsWith(`${directory}/`));
}
