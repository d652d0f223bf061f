import { KilnError } from "../errors.js";
import { Automaton } from "./automaton.js";
import { isValidGlob } from "./glob.js";
import { cleanPath, trimSpace } from "./go-path.js";
import { parseGoRegexp } from "./go-regexp.js";

/** One line of an ignore or include list, ready to match. */
export interface IgnorePattern {
  /** The cleaned pattern without its `!`. */
  readonly text: string;
  /** Whether it begins with `!` and takes back what earlier patterns matched. */
  readonly exception: boolean;
  /** Whether the pattern matches a path itself; parents are the matcher's business. */
  test(path: string): boolean;
}

/**
 * Compiles one pattern with the rules of moby/patternmatcher: white space around it dropped, the path
 * cleaned (before the `!` is looked at), `**` for any number of directories, the rest as in Go's
 * `filepath.Match`, with that library's ways of reading what it turns into a regular expression.
 *
 * Returns `undefined` for an empty pattern. Throws `ERR_KILN_INVALID_PATTERN`.
 */
export function compileIgnorePattern(line: string): IgnorePattern | undefined {
  const trimmed = trimSpace(line);
  if (trimmed === "") return undefined;
  const cleaned = cleanPath(trimmed);
  const exception = cleaned.startsWith("!");
  const text = exception ? cleaned.slice(1) : cleaned;
  if (text === "") throw invalidPattern(line, "there is nothing after the !");
  if (!isValidGlob(text)) throw invalidPattern(line, "a bracket or backslash is not complete");
  return { text, exception, test: compileTest(line, text) };
}

function compileTest(line: string, text: string): (path: string) => boolean {
  const { kind, source } = toGoRegexp(text);
  if (kind === "exact") return (path) => path === text;
  if (kind === "prefix") {
    const prefix = text.slice(0, -2);
    return (path) => path.startsWith(prefix);
  }
  if (kind === "suffix") {
    const suffix = text.slice(2);
    const whole = suffix.startsWith("/") ? suffix.slice(1) : undefined;
    return (path) => path.endsWith(suffix) || path === whole;
  }
  try {
    const automaton = new Automaton(parseGoRegexp(source));
    return (path) => automaton.test(path);
  } catch (error) {
    throw invalidPattern(line, error instanceof Error ? error.message : String(error));
  }
}

function invalidPattern(line: string, reason: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_PATTERN", `invalid pattern ${JSON.stringify(line)}: ${reason}`, {
    hint: "Patterns follow .dockerignore: *, ?, [a-z], ** and a backslash before a character that is meant literally.",
  });
}

interface Translation {
  readonly kind: "exact" | "prefix" | "suffix" | "regexp";
  readonly source: string;
}

/**
 * Translates a cleaned pattern into the regular expression that moby/patternmatcher compiles, or into one of
 * its short cuts. It does not see brackets as a unit (`[*]` is a star inside a class) and escapes neither
 * `|`, `{`, `}` nor `^`, which therefore keep their meaning in a pattern that has a wildcard.
 */
export function toGoRegexp(text: string): Translation {
  const runes = [...text];
  let kind: Translation["kind"] = "exact";
  let source = "^";
  // Go's scanner drops a byte order mark that comes first.
  let at = runes[0] === "\ufeff" ? 1 : 0;
  for (let piece = 0; at < runes.length; piece += 1) {
    const rune = runes[at] ?? "";
    at += 1;
    if (rune === "*" && runes[at] === "*") {
      at += 1;
      if (runes[at] === "/") at += 1;
      if (at < runes.length) {
        source += "(.*/)?";
        kind = "regexp";
      } else if (kind === "exact") {
        kind = "prefix";
      } else {
        source += ".*";
        kind = "regexp";
      }
      if (piece === 0) kind = "suffix";
    } else if (rune === "*") {
      source += "[^/]*";
      kind = "regexp";
    } else if (rune === "?") {
      source += "[^/]";
      kind = "regexp";
    } else if (".+()$".includes(rune)) {
      source += `\\${rune}`;
    } else if (rune === "\\" && at < runes.length) {
      source += `\\${runes[at]}`;
      at += 1;
      kind = "regexp";
    } else {
      source += rune === "\\" ? "\\\\" : rune;
      if (rune === "[" || rune === "]") kind = "regexp";
    }
  }
  return { kind, source: `${source}$` };
}
