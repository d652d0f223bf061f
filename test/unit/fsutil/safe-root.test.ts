import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { SafeRoot } from "../../../src/fsutil/safe-root.js";
import { temporaryDirectory, temporaryTree } from "./temporary-tree.js";

const opened: SafeRoot[] = [];
afterEach(() => {
  for (const root of opened.splice(0)) root.close();
});

const unsafe = expect.objectContaining({ code: "ERR_KILN_UNSAFE_PATH" });

// Both ways of reaching directories: by descriptor (Linux) and by looking before each step (elsewhere).
const ways = process.platform === "linux" ? [true, false] : [false];

describe.each(ways)("below a root (descriptors: %s)", (descriptors) => {
  function open(directory: string): SafeRoot {
    const root = SafeRoot.open(directory, { descriptors });
    opened.push(root);
    return root;
  }

  async function write(
    root: SafeRoot,
    path: string,
    text: string,
    mode = 0o644,
    modTime = 0n,
  ): Promise<void> {
    const file = root.createFile(path);
    await file.write(Buffer.from(text));
    file.commit({ mode, modTime });
  }

  test("the root is made when it is missing", () => {
    const base = temporaryDirectory();
    open(join(base, "a/b"));
    expect(lstatSync(join(base, "a/b")).isDirectory()).toBe(true);
  });

  test("the root itself may be a symlink", async () => {
    const base = temporaryTree({ real: { dir: true }, alias: { symlink: "real" } });
    await write(open(join(base, "alias")), "f", "x");
    expect(readFileSync(join(base, "real/f"), "utf8")).toBe("x");
  });

  test("a root that is a file is refused", () => {
    const base = temporaryTree({ f: "" });
    expect(() => open(join(base, "f"))).toThrow(
      expect.objectContaining({ code: "ERR_KILN_OUTPUT_UNWRITABLE" }),
    );
  });

  test("files, directories, symlinks and links get what they are given", async () => {
    const base = temporaryDirectory();
    const root = open(base);
    root.makeDirectories("a/b/c");
    await write(root, "a/b/c/f", "text", 0o4711, 1_700_000_000_123_456_000n);
    root.makeSymlink("a/l", "../../out/of/here", 1_600_000_000_000_000_000n);
    root.makeLink("a/second", "a/b/c/f");
    root.finishDirectory("a/b", { mode: 0o1755, modTime: 1_500_000_000_000_000_000n });
    const file = lstatSync(join(base, "a/b/c/f"), { bigint: true });
    expect(file.mode & 0o7777n).toBe(0o4711n);
    expect(file.mtimeNs).toBe(1_700_000_000_123_456_000n);
    expect(file.nlink).toBe(2n);
    expect(readlinkSync(join(base, "a/l"))).toBe("../../out/of/here");
    expect(lstatSync(join(base, "a/l"), { bigint: true }).mtimeNs).toBe(1_600_000_000_000_000_000n);
    expect(lstatSync(join(base, "a/b")).mode & 0o7777).toBe(0o1755);
    expect(lstatSync(join(base, "a/b"), { bigint: true }).mtimeNs).toBe(1_500_000_000_000_000_000n);
  });

  test.each([
    [0n, 0n],
    [999_999_999n, 999_999_000n],
    [315_532_802_000_000_000n, 315_532_802_000_000_000n],
    [1_700_000_000_000_001_999n, 1_700_000_000_000_001_000n],
    [4_000_000_000_999_999_999n, 4_000_000_000_999_999_000n],
    [-86_400_000_000_000n, -86_400_000_000_000n],
  ])("the time %d ns becomes %d", async (given, kept) => {
    const base = temporaryDirectory();
    await write(open(base), "f", "", 0o644, given);
    expect(lstatSync(join(base, "f"), { bigint: true }).mtimeNs).toBe(kept);
  });

  test.each([
    "",
    "/a",
    "..",
    "../a",
    "a/../b",
    "a//b",
    "./a",
    "a/",
    "a/.",
    "a\0b",
    "x".repeat(256),
    "y/".repeat(2100),
  ])("the path %j is refused by every call", (path) => {
    const root = open(temporaryDirectory());
    expect(() => root.makeDirectory(path)).toThrow(unsafe);
    expect(() => root.makeDirectories(path)).toThrow(unsafe);
    expect(() => root.createFile(path)).toThrow(unsafe);
    expect(() => root.makeSymlink(path, "t", 0n)).toThrow(unsafe);
    expect(() => root.makeLink(path, "t")).toThrow(unsafe);
    expect(() => root.makeLink("t", path)).toThrow(unsafe);
    expect(() => root.finishDirectory(path, { mode: 0o755, modTime: 0n })).toThrow(unsafe);
  });

  test.each(["", "a\0b", "x".repeat(5000)])("a symlink to %j is refused", (target) => {
    expect(() => open(temporaryDirectory()).makeSymlink("l", target, 0n)).toThrow(unsafe);
  });

  test("names may hold backslashes, newlines, dots and non-BMP characters", async () => {
    const base = temporaryDirectory();
    const root = open(base);
    for (const name of ["a\\..\\b", "new\nline", "...", "..a", "😀"]) await write(root, name, name);
    expect(readdirSync(base).sort()).toEqual(["...", "..a", "a\\..\\b", "new\nline", "😀"]);
  });

  describe("a symlink in the way", () => {
    function setUp() {
      const outside = temporaryTree({ f: "untouched", "d/f": "untouched" });
      const base = temporaryTree({
        dir: { symlink: `${outside}/d` },
        up: { symlink: ".." },
        file: { symlink: `${outside}/f` },
        "inner/dir": { symlink: `${outside}/d` },
      });
      return { outside, base, root: open(base) };
    }
    function unchanged(outside: string): void {
      expect(readdirSync(outside).sort()).toEqual(["d", "f"]);
      expect(readdirSync(join(outside, "d"))).toEqual(["f"]);
      expect(readFileSync(join(outside, "f"), "utf8")).toBe("untouched");
      expect(readFileSync(join(outside, "d/f"), "utf8")).toBe("untouched");
      expect(lstatSync(join(outside, "d")).mode & 0o777).toBe(0o755);
    }

    test.each(["dir/x", "up/x", "inner/dir/x", "dir/f"])("is not passed through on the way to %j", (path) => {
      const { outside, root } = setUp();
      expect(() => root.createFile(path)).toThrow(unsafe);
      expect(() => root.makeDirectory(path)).toThrow(unsafe);
      expect(() => root.makeSymlink(path, "t", 0n)).toThrow(unsafe);
      expect(() => root.makeLink(path, "file")).toThrow(unsafe);
      expect(() => root.makeLink("stolen", path)).toThrow(unsafe);
      unchanged(outside);
    });

    test("is not finished as a directory", () => {
      const { outside, root } = setUp();
      expect(() => root.finishDirectory("dir", { mode: 0o777, modTime: 0n })).toThrow(unsafe);
      unchanged(outside);
    });

    test("is replaced by a file, a directory or another symlink", async () => {
      const { outside, base, root } = setUp();
      await write(root, "file", "new");
      root.makeDirectory("dir");
      await write(root, "dir/f", "new");
      root.makeSymlink("up", "elsewhere", 0n);
      unchanged(outside);
      expect(readFileSync(join(base, "file"), "utf8")).toBe("new");
      expect(readFileSync(join(base, "dir/f"), "utf8")).toBe("new");
      expect(readlinkSync(join(base, "up"))).toBe("elsewhere");
    });

    test("is not hard-linked", () => {
      const { root } = setUp();
      expect(() => root.makeLink("h", "file")).toThrow(unsafe);
    });

    test("that takes a directory's place later is not passed through", async () => {
      const outside = temporaryTree({});
      const base = temporaryDirectory();
      const root = open(base);
      root.makeDirectory("d");
      await write(root, "d/a", "a");
      renameSync(join(base, "d"), join(base, "moved"));
      symlinkSync(outside, join(base, "d"));
      // With descriptors the file lands in the directory that was opened; without, the call is refused.
      await write(root, "d/b", "b").catch((error: unknown) => expect(error).toEqual(unsafe));
      expect(readdirSync(outside)).toEqual([]);
    });
  });

  describe("what is in the way", () => {
    test("stays when it is a directory and one is wanted", async () => {
      const base = temporaryTree({ "d/old": "kept" });
      const root = open(base);
      root.makeDirectory("d");
      await write(root, "d/new", "");
      expect(readdirSync(join(base, "d")).sort()).toEqual(["new", "old"]);
    });

    test("is opened to its owner when the directory was shut", async () => {
      const base = temporaryTree({ d: { dir: true } });
      chmodSync(join(base, "d"), 0o555);
      const root = open(base);
      root.makeDirectory("d");
      expect(lstatSync(join(base, "d")).mode & 0o777).toBe(0o755);
      await write(root, "d/f", "");
    });

    test("is replaced when it is a file, without touching its other links", async () => {
      const base = temporaryTree({ f: "old" });
      linkSync(join(base, "f"), join(base, "other"));
      const root = open(base);
      await write(root, "f", "new");
      expect(readFileSync(join(base, "other"), "utf8")).toBe("old");
      root.makeDirectory("other");
      expect(lstatSync(join(base, "other")).isDirectory()).toBe(true);
    });

    test("is removed when it is an empty directory, which may come back", async () => {
      const base = temporaryDirectory();
      const root = open(base);
      root.makeDirectories("d/e");
      await write(root, "d/e/x", "");
      root.makeDirectory("g");
      await write(root, "g", "file");
      root.makeDirectory("g");
      await write(root, "g/inside", "again");
      expect(readFileSync(join(base, "g/inside"), "utf8")).toBe("again");
    });

    test("is refused when it is a directory with something in it", async () => {
      const base = temporaryTree({ "d/f": "kept" });
      const root = open(base);
      await expect(write(root, "d", "")).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_EXISTS" });
      expect(() => root.makeSymlink("d", "t", 0n)).toThrow(
        expect.objectContaining({ code: "ERR_KILN_OUTPUT_EXISTS" }),
      );
      expect(readdirSync(base)).toEqual(["d"]);
      expect(readdirSync(join(base, "d"))).toEqual(["f"]);
    });

    test("may be another link to the same file", async () => {
      const base = temporaryDirectory();
      const root = open(base);
      await write(root, "a", "x");
      root.makeLink("b", "a");
      root.makeLink("b", "a");
      expect(readdirSync(base).sort()).toEqual(["a", "b"]);
    });
  });

  test("a file has its name only once it is committed", async () => {
    const base = temporaryTree({ f: "old" });
    const root = open(base);
    const file = root.createFile("f");
    await file.write(Buffer.from("new"));
    expect(readFileSync(join(base, "f"), "utf8")).toBe("old");
    file.commit({ mode: 0o600, modTime: 0n });
    file.discard();
    expect(readFileSync(join(base, "f"), "utf8")).toBe("new");
    expect(readdirSync(base)).toEqual(["f"]);
  });

  test("a discarded file leaves nothing", async () => {
    const base = temporaryDirectory();
    const file = open(base).createFile("f");
    await file.write(Buffer.alloc(200_000));
    file.discard();
    file.discard();
    expect(readdirSync(base)).toEqual([]);
  });

  test("a missing parent is an error", () => {
    const root = open(temporaryDirectory());
    expect(() => root.createFile("no/where")).toThrow(
      expect.objectContaining({ code: "ERR_KILN_OUTPUT_UNWRITABLE" }),
    );
  });

  test("more directories than are held open at once work", async () => {
    const base = temporaryDirectory();
    const root = open(base);
    for (let index = 0; index < 150; index += 1) {
      root.makeDirectories(`d${index}/deep/er`);
      await write(root, `d${index}/deep/er/f`, `${index}`);
    }
    for (let index = 0; index < 150; index += 1) root.makeLink(`d${index}/l`, `d${149 - index}/deep/er/f`);
    expect(readFileSync(join(base, "d3/l"), "utf8")).toBe("146");
    root.close();
  });
});

test("closing lets go of every descriptor", () => {
  if (!existsSync("/proc/self/fd")) return;
  const base = temporaryDirectory();
  const before = readdirSync("/proc/self/fd").length;
  const root = SafeRoot.open(base);
  for (let index = 0; index < 100; index += 1) {
    root.makeDirectory(`d${index}`);
    mkdirSync(join(base, `d${index}/x`));
    root.createFile(`d${index}/x/f`).discard();
  }
  writeFileSync(join(base, "f"), "");
  expect(() => root.createFile("f/x")).toThrow(unsafe);
  root.close();
  expect(readdirSync("/proc/self/fd")).toHaveLength(before);
});
