import { argumentError, describe } from "./check-args.js";
import { checkPattern, FilePatternMatcher } from "./file-pattern-matcher.js";

/** What is left out of a local directory: patterns, after those of a file. */
export interface CheckedIgnore {
  readonly ignore: readonly string[];
  readonly ignoreFile: string | undefined;
}

/** Checks an option `ignore`. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_INVALID_PATTERN`. */
export function checkIgnore(call: string, ignore: unknown): CheckedIgnore {
  if (ignore === undefined) return { ignore: [], ignoreFile: undefined };
  if (FilePatternMatcher.is(ignore)) return { ignore: ignore.patterns, ignoreFile: ignore.file };
  if (typeof ignore === "function") {
    throw argumentError(call, "ignore must be patterns, got a function: a recipe is plain data", {
      hint: 'Write patterns, or the opposite of some: new FilePatternMatcher("**/*.py").invert().',
    });
  }
  const list = typeof ignore === "string" ? [ignore] : ignore;
  if (!Array.isArray(list)) {
    throw argumentError(call, `ignore must be patterns, got ${describe(ignore)}`, {
      hint: 'Write ignore: ["node_modules", "**/*.log"], or FilePatternMatcher.fromFile(".dockerignore").',
    });
  }
  return { ignore: list.map((pattern) => checkPattern(call, pattern)), ignoreFile: undefined };
}
