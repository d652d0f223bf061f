import { expect, test } from "vitest";
import { followPaths } from "../../../src/fsutil/follow-paths.js";
import { hasWildcard, isValidGlob, matchGlob } from "../../../src/fsutil/glob.js";
import { openTree } from "../../../src/fsutil/tree.js";
import { paths } from "./listing.js";
import { temporaryTree } from "./temporary-tree.js";

/** A tree of symlinks and files; anything else is no link. */
function reader(
  links: Readonly<Record<string, string>>,
  names: Readonly<Record<string, readonly string[]>> = {},
) {
  const asked: string[] = [];
  return {
    asked,
    readLink: (path: string) => {
      asked.push(path);
      return links[path];
    },
    listNames: (path: string) => {
      asked.push(path);
      return names[path] ?? [];
    },
  };
}

const cases: readonly (readonly [
  title: string,
  links: Readonly<Record<string, string>>,
  follow: readonly string[],
  expected: readonly string[] | undefined,
])[] = [
  ["a plain path is itself", {}, ["a/b"], ["a/b"]],
  ["a path is cleaned and taken from the root", {}, ["/a/./b/../c/"], ["a/c"]],
  ["a link brings its target", { l: "t" }, ["l"], ["l", "t"]],
  ["a link in a directory is relative to it", { "d/l": "../t" }, ["d/l"], ["d/l", "t"]],
  ["an absolute target is taken from the root", { "d/l": "/t/u" }, ["d/l"], ["d/l", "t/u"]],
  ["a target above the root stays at the root", { l: "../../../etc/passwd" }, ["l"], ["etc/passwd", "l"]],
  ["a link on the way is followed with the rest", { d: "real" }, ["d/f/g"], ["d", "real/f/g"]],
  ["chains are followed", { a: "b", b: "c/x", c: "d" }, ["a"], ["a", "b", "c", "d/x"]],
  ["two paths through one link are both followed", { l: "t" }, ["l/a", "l/b"], ["l", "t/a", "t/b"]],
  ["a circle ends", { a: "b", b: "a" }, ["a"], ["a", "b"]],
  ["a link into itself ends", { a: "a/b" }, ["a"], ["a"]],
  ["what lies inside another entry is dropped", {}, ["a", "a/b", "a-b", "a/c/d"], ["a", "a-b"]],
  ["the root itself wants everything", {}, ["a", "."], undefined],
  ["a link to the root wants everything", { l: "." }, ["l"], undefined],
  ["a path above the root is not looked at", {}, ["../x", "../y"], ["../x", "../y"]],
];

test.each(cases)("%s", (_title, links, follow, expected) => {
  expect(followPaths(reader(links), follow)).toEqual(expected);
});

test("nothing above the root is ever looked at", () => {
  const tree = reader({ l: "../../x", "a/l": "../../../y", "/": "z" });
  followPaths(tree, ["../../up", "..", "l/../../x", "a/l", "/../q"]);
  expect(tree.asked.filter((path) => path.startsWith("..") || path.startsWith("/"))).toEqual([]);
});

test("a wildcard stands for the links that it matches, at any level", () => {
  const tree = reader(
    { "pkg/a": "../store/a", "pkg/b": "../store/b", "store/a/main": "lib/main" },
    { pkg: ["a", "b", "c"] },
  );
  expect(followPaths(tree, ["pkg/*/main"])).toEqual([
    "pkg/*",
    "store/a/lib/main",
    "store/a/main",
    "store/b/main",
  ]);
  expect(followPaths(tree, ["pkg/c*"])).toEqual(["pkg/c*"]);
});

test("links that multiply without end are refused", () => {
  const names = Array.from({ length: 12 }, (_, index) => `l${index}`);
  const tree = {
    readLink: (path: string) => (/^d\/l[0-9]+$/.test(path) ? `/d/*/${path.slice(2)}` : undefined),
    listNames: () => names,
  };
  expect(() => followPaths(tree, ["d/*"])).toThrow(
    expect.objectContaining({ code: "ERR_KILN_LIMIT_EXCEEDED" }),
  );
});

test("a tree sends what the paths lead to and nothing else", async () => {
  const root = temporaryTree({
    "app/link": { symlink: "../lib/current" },
    "lib/current": { symlink: "v2" },
    "lib/v1/x": "",
    "lib/v2/x": "",
    other: "",
  });
  expect(await paths(openTree({ root, followPaths: ["app/link/x"] }))).toEqual([
    "app/",
    "app/link",
    "lib/",
    "lib/current",
    "lib/v2/",
    "lib/v2/x",
  ]);
  expect(await paths(openTree({ root, include: ["other"], followPaths: ["lib/v1"] }))).toEqual([
    "lib/",
    "lib/v1/",
    "lib/v1/x",
    "other",
  ]);
});

test("a link that the tree leaves out is not followed", async () => {
  const root = temporaryTree({ l: { symlink: "t" }, t: "" });
  expect(await paths(openTree({ root, exclude: ["l"] }).narrow({ followPaths: ["l"] }))).toEqual([]);
});

const globs: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ["abc", "abc", true],
  ["*c", "abc", true],
  ["a*", "a", true],
  ["a*/b", "ac/b", true],
  ["a*/b", "a/c/b", false],
  ["a*b*c*d*e/f", "axbxcxdxe/f", true],
  ["a*b?c*x", "abxbbxdbxebxczzy", false],
  ["ab[b-d]", "abc", true],
  ["ab[^e-g]", "abc", true],
  ["a???b", "aé😀xb", true],
  ["[x\\-]", "-", true],
  ["[\\]a]", "]", true],
  ["*x", "xxx", true],
  ["[]a]", "]", false],
  ["a[", "a", false],
];

test.each(globs)("the glob %j on %j is %s", (pattern, name, expected) => {
  expect(matchGlob(pattern, name)).toBe(expected);
});

test("globs that are not complete are told from others", () => {
  expect(["[", "[^", "[^bc", "a\\", "[]", "[-x]", "[x-]", "[a-b-c]"].filter(isValidGlob)).toEqual([]);
  expect(["\\[", "[a]", "[^^]", "[\\-x]", "]", "a-b"].filter((glob) => !isValidGlob(glob))).toEqual([]);
});

test("only bare wildcards count", () => {
  expect(["*", "a?", "[", "\\\\*", "a\\b*"].filter((name) => !hasWildcard(name))).toEqual([]);
  expect(["a", "\\*", "\\[x]", "\\\\\\?"].filter(hasWildcard)).toEqual([]);
});
