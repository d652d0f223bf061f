import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseIgnoreFile } from "../../../src/fsutil/ignore-file.js";
import { PatternMatcher } from "../../../src/fsutil/pattern-matcher.js";
import { receiveTree } from "../../../src/fsutil/receive.js";
import { sendTree } from "../../../src/fsutil/send.js";
import { openTree, singleFileTree } from "../../../src/fsutil/tree.js";
import { channelPair } from "./channel-pair.js";

interface Oracle {
  add(patterns: readonly string[]): Oracle;
  ignores(path: string): boolean;
}

// Its types describe a default export that Node's loader does not give.
const dockerignore = createRequire(import.meta.url)("@balena/dockerignore") as () => Oracle;

let base: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "kiln-tree-"));
});

afterEach(() => {
  rmSync(base, { recursive: true, force: true });
});

function write(path: string, content = ""): void {
  mkdirSync(dirname(join(base, "src", path)), { recursive: true });
  writeFileSync(join(base, "src", path), content);
}

async function transfer(options: Omit<Parameters<typeof openTree>[0], "root"> = {}): Promise<string> {
  const out = join(base, "out");
  const [a, b] = channelPair();
  await Promise.all([sendTree(a, openTree({ root: join(base, "src"), ...options })), receiveTree(b, out)]);
  return out;
}

async function paths(options: Omit<Parameters<typeof openTree>[0], "root"> = {}): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const batch of openTree({ root: join(base, "src"), ...options }).walk()) {
    for (const { path } of batch) found.push(path);
  }
  return found;
}

it("gives back contents, modes, times, symlinks, hard links and empty directories", async () => {
  write("a/file", "hello");
  write("a/big", "x".repeat(700_000));
  write("empty");
  mkdirSync(join(base, "src", "hollow"));
  symlinkSync("a/file", join(base, "src", "link"));
  symlinkSync("nowhere", join(base, "src", "dangling"));
  linkSync(join(base, "src", "a/file"), join(base, "src", "second"));
  chmodSync(join(base, "src", "a/file"), 0o4751);
  utimesSync(join(base, "src", "a/file"), 1_000_000, 1_234_567.25);
  const out = await transfer();
  expect(readdirSync(out, { recursive: true }).sort()).toEqual([
    "a",
    "a/big",
    "a/file",
    "dangling",
    "empty",
    "hollow",
    "link",
    "second",
  ]);
  expect(readFileSync(join(out, "a/file"), "utf8")).toBe("hello");
  expect(readFileSync(join(out, "a/big"), "utf8")).toHaveLength(700_000);
  expect(lstatSync(join(out, "a/file")).mode & 0o7777).toBe(0o4751);
  expect(lstatSync(join(out, "a/file")).mtimeMs).toBe(1_234_567_250);
  expect(readlinkSync(join(out, "link"))).toBe("a/file");
  expect(readlinkSync(join(out, "dangling"))).toBe("nowhere");
  expect(lstatSync(join(out, "second")).ino).toBe(lstatSync(join(out, "a/file")).ino);
});

it("lists siblings in byte order, the separator lowest, also beyond the Basic Multilingual Plane", async () => {
  for (const name of ["a.b", "a/x", "a-b", "\u{1F525}", "\uFFEE", "é", "Z", "z"]) write(name);
  expect(await paths()).toEqual(["Z", "a", "a/x", "a-b", "a.b", "z", "é", "\uFFEE", "\u{1F525}"]);
});

it("makes the first surviving name of a hard link the file", async () => {
  write("a", "same");
  linkSync(join(base, "src", "a"), join(base, "src", "b"));
  linkSync(join(base, "src", "a"), join(base, "src", "c"));
  const out = await transfer({ exclude: ["a"] });
  expect(readdirSync(out)).toEqual(["b", "c"]);
  expect(lstatSync(join(out, "b")).ino).toBe(lstatSync(join(out, "c")).ino);
});

it("sends every file as root's by default and modes normalised on request", async () => {
  write("run");
  chmodSync(join(base, "src", "run"), 0o4775);
  const entries: unknown[] = [];
  for await (const batch of openTree({ root: join(base, "src"), permissions: "normalize" }).walk())
    entries.push(...batch);
  expect(entries).toMatchObject([{ path: "run", mode: 0o755, uid: 0, gid: 0 }]);
});

it("shows one file as a tree, a symlink followed", async () => {
  write("real", "content");
  symlinkSync("real", join(base, "src", "alias"));
  const tree = singleFileTree({ path: join(base, "src", "alias"), name: "file" });
  const [a, b] = channelPair();
  await Promise.all([sendTree(a, tree), receiveTree(b, join(base, "out"))]);
  expect(readdirSync(join(base, "out"))).toEqual(["file"]);
  expect(readFileSync(join(base, "out", "file"), "utf8")).toBe("content");
});

describe("followed paths", () => {
  it("bring links and what they point to, but nothing from outside", async () => {
    write("dir/target", "t");
    write("other");
    symlinkSync("dir/target", join(base, "src", "link"));
    symlinkSync("../../../../etc/passwd", join(base, "src", "escape"));
    expect(await paths({ followPaths: ["link", "escape"] })).toEqual(["dir", "dir/target", "escape", "link"]);
  });
});

describe("ignore patterns", () => {
  it("are read as from a .dockerignore", () => {
    expect(parseIgnoreFile("\uFEFF# comment\n\n  a/  \n!b\n! /c\n/d\n./e\n")).toEqual([
      "a",
      "!b",
      "!c",
      "d",
      "e",
    ]);
  });

  const table: readonly (readonly [readonly string[], string, boolean])[] = [
    [["*.log"], "a.log", true],
    [["*.log"], "dir/a.log", false],
    [["**/*.log"], "dir/deep/a.log", true],
    [["dir"], "dir/file", true],
    [["dir", "!dir/keep"], "dir/keep", false],
    [["dir", "!dir/keep"], "dir/lost", true],
    [["!a", "a"], "a", true],
    [["a?c"], "abc", true],
    [["a?c"], "a/c", false],
    [["[ab]x"], "bx", true],
    [["a\\*"], "a*", true],
    [["**"], "anything/at/all", true],
    [["a/**/z"], "a/b/c/z", true],
    [["a/**/z"], "a/z", true],
  ];
  it.each(table)("%j decide on %s: %s", (patterns, path, ignored) => {
    expect(new PatternMatcher(patterns).matches(path)).toBe(ignored);
    expect(
      dockerignore()
        .add([...patterns])
        .ignores(path),
    ).toBe(ignored);
  });

  it("agree with another implementation on random patterns and paths", () => {
    const part = fc.constantFrom("a", "b", "ab", "*", "**", "a*", "?", "*.b");
    const pattern = fc
      .tuple(fc.constantFrom("", "!"), fc.array(part, { minLength: 1, maxLength: 3 }))
      .map(([not, parts]) => not + parts.join("/"));
    const path = fc
      .array(fc.constantFrom("a", "b", "ab", "x.b"), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join("/"));
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), path, (patterns, candidate) => {
        expect(new PatternMatcher(patterns).matches(candidate)).toBe(
          dockerignore().add(patterns).ignores(candidate),
        );
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  it("keep ignored directories from being walked", async () => {
    write("node_modules/deep/file");
    write("keep");
    chmodSync(join(base, "src", "node_modules"), 0o000);
    try {
      expect(await paths({ exclude: ["node_modules"] })).toEqual(["keep"]);
    } finally {
      chmodSync(join(base, "src", "node_modules"), 0o755);
    }
  });
});
