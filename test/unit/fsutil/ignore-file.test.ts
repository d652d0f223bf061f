import { expect, test } from "vitest";
import { parseIgnoreFile } from "../../../src/fsutil/ignore-file.js";

const cases: readonly (readonly [title: string, text: string, patterns: readonly string[]])[] = [
  ["an empty file has no patterns", "", []],
  ["comments and empty lines are dropped", "# one\n\n  \n#two\na\n", ["a"]],
  ["a comment sign after white space is a pattern", " # a", ["# a"]],
  ["a byte order mark is dropped", "\ufeff# comment\n\ufeffa", ["\ufeffa"]],
  ["lines may end in CRLF", "a\r\nb\r\n", ["a", "b"]],
  ["white space around a pattern is dropped", "\t a b \u00a0", ["a b"]],
  ["one leading slash is dropped", "/a\n//b\n/", ["a", "b", "/"]],
  ["paths are cleaned", "a/./b/../c/\n./d\n../e", ["a/c", "d", "../e"]],
  ["exceptions are cleaned behind their sign", "!/a/\n! ./b\n!", ["!a", "!b", "!"]],
  ["a second sign is a character", "!!a", ["!!a"]],
];

test.each(cases)("%s", (_title, text, patterns) => {
  expect(parseIgnoreFile(text)).toEqual(patterns);
});
