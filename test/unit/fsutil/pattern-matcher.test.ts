import { describe, expect, test } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { PatternMatcher } from "../../../src/fsutil/pattern-matcher.js";
import { cpuMilliseconds } from "../internal/cpu-time.js";

type Case = readonly [patterns: string | readonly string[], path: string, matches: boolean];

const cases: readonly Case[] = [
  // Names and paths.
  ["foo", "foo", true],
  ["foo", "foo/bar/baz", true],
  ["foo", "bar/foo", false],
  ["foo", "food", false],
  ["foo/bar", "foo/bar", true],
  ["foo/bar", "foo/barn", false],
  ["./foo/../bar/", "bar", true],
  ["/foo", "foo", false],
  ["  foo\t", "foo", true],
  ["\u0085foo\u00a0", "foo", true],
  [".", "foo", false],
  // Single wildcards stop at separators.
  ["*", "foo", true],
  ["*", "foo/bar", true],
  ["*.go", "a.go", true],
  ["*.go", "dir/a.go", false],
  ["*.go", "agoo", false],
  ["dir/*.go", "dir/a.go", true],
  ["dir/*.go", "dir/sub/a.go", false],
  ["*/a.go", "dir/a.go", true],
  ["?", "a", true],
  ["?", "é", true],
  ["?", "😀", true],
  ["?", "ab", false],
  ["a?b", "a/b", false],
  // Double wildcards.
  ["**", "foo", true],
  ["**", "foo/bar", true],
  ["**/", "foo/bar", true],
  ["**/*", "foo", true],
  ["**/*.go", "a.go", true],
  ["**/*.go", "x/y/a.go", true],
  ["**/foo", "foo", true],
  ["**/foo", "x/y/foo", true],
  ["**/foo", "x/yfoo", false],
  ["**foo", "x/yfoo", true],
  ["foo/**", "foo/bar", true],
  ["foo/**", "foo", false],
  ["foo/**", "foobar", false],
  ["foo**", "foobar/baz", true],
  ["foo/**/bar", "foo/bar", true],
  ["foo/**/bar", "foo/x/y/bar", true],
  ["foo/**/bar", "foo/x/y/bars", false],
  ["a/**/**/b", "a/x/b", true],
  ["**/node_modules", "packages/a/node_modules/b/index.js", true],
  // Classes and escapes.
  ["[abc]", "b", true],
  ["[a-c]d", "cd", true],
  ["[a-c]d", "dd", false],
  ["[^a-c]d", "dd", true],
  ["[!a]d", "!d", true],
  ["[!a]d", "bd", false],
  ["[é-ü]", "ö", true],
  ["[[:alpha:]]x", "qx", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["a\\[b\\]*", "a[b]c", true],
  ["a.b", "a.b", true],
  ["a.b*", "axb", false],
  ["a+(b)$*", "a+(b)$c", true],
  // Exceptions; the last pattern that matches decides.
  [["*", "!a"], "a", false],
  [["*", "!a"], "b", true],
  [["!a", "*"], "a", true],
  [["dir", "!dir/a"], "dir/a", false],
  [["dir", "!dir/a"], "dir/b", true],
  [["dir/*", "!dir/*.md"], "dir/x.md", false],
  [["**", "!**/*.md", "README-secret.md"], "README-secret.md", true],
  [["a/b", "!a"], "a/b/c", false],
  // Docker's own ways, where a pattern with a wildcard is turned into a regular expression as it stands.
  ["a|b*", "a/anything", true],
  ["x{2}*", "xxy", true],
  ["{a,b}*", "{a,b}c", true],
  ["{a,b}*", "a", false],
  ["[*]", "[[[]", true],
  ["\\d*", "7z", true],
  ["**/a", "x\ny/a", true],
  ["**/?", "x\ny/a", false],
  // A pattern is cleaned before its exclamation mark is looked at.
  [["b", "!a/../b"], "b", true],
];

test.each(cases)("%j on %j is %s", (patterns, path, expected) => {
  const matcher = new PatternMatcher(typeof patterns === "string" ? [patterns] : patterns);
  expect(matcher.matches(path)).toBe(expected);
});

test("an empty pattern is no pattern", () => {
  expect(new PatternMatcher(["", "  ", "a"]).patterns.map((pattern) => pattern.text)).toEqual(["a"]);
});

describe("a pattern that cannot be read", () => {
  test.each(["[", "a[b", "[]", "[]a]", "[-a]", "[a-]", "a\\", "!", "[b-a]", "x*{2}*", "*\\p{L}", "?{2000}"])(
    "%j is refused",
    (pattern) => {
      let thrown: unknown;
      try {
        new PatternMatcher(["ok", pattern]);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(KilnError);
      expect(thrown).toMatchObject({ code: "ERR_KILN_INVALID_PATTERN" });
      expect((thrown as KilnError).message).toContain(JSON.stringify(pattern));
      expect((thrown as KilnError).hint).toBeTruthy();
    },
  );

  test("is named with the reason", () => {
    expect(() => new PatternMatcher(["a[b"])).toThrowErrorMatchingInlineSnapshot(
      `[KilnError: invalid pattern "a[b": a bracket or backslash is not complete]`,
    );
  });
});

test("a pattern made to backtrack takes no time", () => {
  const matcher = new PatternMatcher([
    "*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?/",
    "**/a**/a**/a**/a**/a**/a**/b",
  ]);
  const name = "a".repeat(250);
  const took = cpuMilliseconds(() => {
    expect(matcher.matches(`${`${name}/`.repeat(15)}c`)).toBe(true);
    expect(new PatternMatcher(["*a*a*a*a*a*a*a*a*a*a*a*b"]).matches(name)).toBe(false);
  });
  expect(took).toBeLessThan(1000);
});

test("an expression of many states still answers", () => {
  const matcher = new PatternMatcher(["*a[^b][^b][^b][^b][^b][^b][^b][^b][^b][^b][^b]z"]);
  let text = "";
  for (let index = 0; index < 5000; index += 1) text += "acd"[(index * index + (index >> 3)) % 3];
  expect(matcher.matches(`${text}a${"c".repeat(11)}z`)).toBe(true);
  expect(matcher.matches(`${text}b${"c".repeat(11)}z`)).toBe(false);
});
