import { compileIgnorePattern, type IgnorePattern } from "./ignore-pattern.js";

/** Which patterns matched a directory, by position; passed on to what lies inside it. */
export type DirectoryMatch = Uint8Array;

/**
 * A list of ignore patterns with the semantics of moby/patternmatcher: later patterns win, `!` takes back,
 * and a pattern that matches a directory matches all that is inside.
 */
export class PatternMatcher {
  readonly patterns: readonly IgnorePattern[];
  /** Whether any pattern begins with `!`. */
  readonly hasExceptions: boolean;

  /** Compiles the patterns; empty ones are dropped. Throws `ERR_KILN_INVALID_PATTERN`. */
  constructor(patterns: readonly string[]) {
    const compiled = patterns.map(compileIgnorePattern);
    this.patterns = compiled.filter((pattern) => pattern !== undefined);
    this.hasExceptions = this.patterns.some((pattern) => pattern.exception);
  }

  /** Whether a clean relative path matches, by itself or because a directory above it does. */
  matches(path: string): boolean {
    return this.matchesInside(path, undefined);
  }

  /**
   * The same for a walk, which knows how the parent directory fared (`MatchesUsingParentResults`).
   *
   * @param path - Clean and relative.
   * @param parent - What `record` held after the parent directory was asked about; `undefined` at the top.
   * @param record - Filled in, for a directory, with one element for each pattern.
   */
  matchesInside(path: string, parent: DirectoryMatch | undefined, record?: DirectoryMatch): boolean {
    let matched = false;
    for (const [index, pattern] of this.patterns.entries()) {
      let match = parent !== undefined && parent[index] === 1;
      if (!match) {
        // A pattern that could not change the outcome is not evaluated, and counts as no match below either.
        if (pattern.exception !== matched) continue;
        match = pattern.test(path) || (parent === undefined && matchesAncestor(pattern, path));
      }
      if (!match) continue;
      if (record !== undefined) record[index] = 1;
      matched = !pattern.exception;
    }
    return matched;
  }

  /** Room for the `record` of one directory. */
  newRecord(): DirectoryMatch {
    return new Uint8Array(this.patterns.length);
  }
}

function matchesAncestor(pattern: IgnorePattern, path: string): boolean {
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
    if (pattern.test(path.slice(0, end))) return true;
  }
  return false;
}
