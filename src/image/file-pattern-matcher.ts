import { argumentError } from "./check-args.js";

const brand: unique symbol = Symbol.for("kiln-engine.file-pattern-matcher") as never;

/**
 * Patterns of files to leave out, with `.dockerignore` semantics: relative to the directory that is added,
 * `**` for any number of directories, `!` to take back, the last match decides.
 */
export class FilePatternMatcher {
  readonly patterns: readonly string[];
  /** File whose lines come before {@link patterns}; read when the build starts. */
  readonly file: string | undefined;
  readonly [brand] = true;

  /** From patterns. Throws `ERR_KILN_INVALID_PATTERN` for a lone `!` and the like. */
  constructor(...patterns: readonly string[]) {
    this.patterns = patterns.map((pattern) => checkPattern("FilePatternMatcher", pattern));
    this.file = undefined;
  }

  /** From a file in the format of `.dockerignore`, relative to the build's working directory. */
  static fromFile(path: string): FilePatternMatcher {
    if (typeof path !== "string" || path === "")
      throw argumentError("FilePatternMatcher.fromFile", "needs a path");
    const matcher = new FilePatternMatcher();
    return Object.assign(Object.create(FilePatternMatcher.prototype) as FilePatternMatcher, matcher, {
      file: path,
    });
  }

  /**
   * The opposite: leaves out what this one would not, e.g. `new FilePatternMatcher("**\/*.py").invert()` for all that is no
   * Python. Throws `ERR_KILN_INVALID_ARGUMENT` for a matcher with a file, whose lines are not known yet.
   */
  invert(): FilePatternMatcher {
    if (this.file !== undefined) {
      throw argumentError(
        "FilePatternMatcher.invert",
        "the patterns of a file are only known when the build starts",
        {
          hint: "Write the opposite into the file: ** first, then what to keep with a !.",
        },
      );
    }
    const flipped = this.patterns.map((pattern) => {
      const text = pattern.trim();
      return text.startsWith("!") ? text.slice(1) : `!${text}`;
    });
    return new FilePatternMatcher("**", ...flipped);
  }

  /** Whether a value is a matcher, of this copy of the package or another. */
  static is(value: unknown): value is FilePatternMatcher {
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** Checks one pattern of an `ignore` option. */
export function checkPattern(call: string, pattern: unknown): string {
  if (typeof pattern !== "string" || pattern.includes("\0") || pattern.includes("\n")) {
    throw argumentError(call, "an ignore pattern must be one line of text", {
      code: "ERR_KILN_INVALID_PATTERN",
    });
  }
  if (pattern.trim() === "!" || pattern.trim() === "") {
    throw argumentError(call, `the ignore pattern ${JSON.stringify(pattern)} matches nothing`, {
      code: "ERR_KILN_INVALID_PATTERN",
      hint: 'Write what it should leave out, e.g. "node_modules" or "**/*.log".',
    });
  }
  return pattern;
}
