import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FileMode } from "../../../src/fsutil/file-mode.js";
import type { FileStat } from "../../../src/fsutil/file-stat.js";
import { readSortedDirectory } from "../../../src/fsutil/sorted-directory.js";
import { openTree, singleFileTree } from "../../../src/fsutil/tree.js";
import { listing, paths } from "./listing.js";
import { skipUnless } from "./skip-unless.js";
import { temporaryDirectory, temporaryTree } from "./temporary-tree.js";

const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === "linux";

describe("what is said of a path", () => {
  test("a file has its size, mode and time in nanoseconds", async () => {
    const root = temporaryTree({ f: { file: "hello" } });
    chmodSync(join(root, "f"), 0o6751);
    const { mtimeNs } = lstatSync(join(root, "f"), { bigint: true });
    expect(await listing(openTree({ root, xattrs: "off" }))).toEqual([
      {
        path: "f",
        mode: FileMode.SETUID + FileMode.SETGID + 0o751,
        uid: 0,
        gid: 0,
        size: 5,
        modTime: mtimeNs,
        linkname: "",
        devmajor: 0,
        devminor: 0,
        xattrs: undefined,
      },
    ]);
  });

  test("a directory has size 0 and its sticky bit", async () => {
    const root = temporaryTree({ d: { dir: true } });
    chmodSync(join(root, "d"), 0o1777);
    const [stat] = await listing(openTree({ root }));
    expect(stat).toMatchObject({ size: 0, mode: FileMode.DIRECTORY + FileMode.STICKY + 0o777 });
  });

  test("a symlink has its target as it is written", async () => {
    const root = temporaryTree({ l: { symlink: "../no//where/./x" } });
    const [stat] = await listing(openTree({ root }));
    expect(stat).toMatchObject({ linkname: "../no//where/./x", mode: FileMode.SYMLINK + 0o777 });
  });

  test("a pipe is a pipe and a socket an empty file", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    const root = temporaryDirectory();
    execFileSync("mkfifo", ["-m", "600", join(root, "pipe")]);
    const server = createServer().listen(join(root, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    const found = await listing(openTree({ root, permissions: "normalize" }));
    await new Promise((resolve) => server.close(resolve));
    expect(found.map(({ path, mode, size }) => [path, mode, size])).toEqual([
      ["pipe", FileMode.NAMED_PIPE + 0o644, 0],
      ["socket", 0o755, 0],
    ]);
  });

  test("a device has its numbers", async (context) => {
    skipUnless(context, isLinux && isRoot, "needs root on Linux");
    const root = temporaryDirectory();
    execFileSync("mknod", ["-m", "640", join(root, "block"), "b", "259", "70000"]);
    execFileSync("mknod", ["-m", "640", join(root, "char"), "c", "1", "3"]);
    const found = await listing(openTree({ root }));
    expect(found.map(({ mode, devmajor, devminor }) => [mode, devmajor, devminor])).toEqual([
      [FileMode.DEVICE + 0o640, 259, 70000],
      [FileMode.DEVICE + FileMode.CHARACTER_DEVICE + 0o640, 1, 3],
    ]);
  });

  test("owners stay on request", async () => {
    const root = temporaryTree({ f: "" });
    const [stat] = await listing(openTree({ root, ownership: "keep" }));
    expect(stat).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.() });
  });

  test("normalised modes tell programs from other files", async () => {
    const root = temporaryTree({
      "bin/run": { file: "", mode: 0o711 },
      data: { file: "", mode: 0o600 },
      link: { symlink: "data" },
    });
    const found = await listing(openTree({ root, permissions: "normalize" }));
    expect(found.map(({ path, mode }) => [path, mode])).toEqual([
      ["bin", FileMode.DIRECTORY + 0o755],
      ["bin/run", 0o755],
      ["data", 0o644],
      ["link", FileMode.SYMLINK + 0o777],
    ]);
  });
});

describe("the map hook", () => {
  const root = () => temporaryTree({ "d/a": "", "d/b": "", e: "" });

  test("changes what is sent", async () => {
    const tree = openTree({ root: root(), map: (stat) => ({ ...stat, modTime: 7n, uid: 1000 }) });
    expect((await listing(tree)).every((stat) => stat.modTime === 7n && stat.uid === 1000)).toBe(true);
  });

  test("leaves out a path, and with a directory what is inside", async () => {
    const without = (gone: string) => (stat: FileStat) => (stat.path === gone ? undefined : stat);
    expect(await paths(openTree({ root: root(), map: without("d/a") }))).toEqual(["d/", "d/b", "e"]);
    expect(await paths(openTree({ root: root(), map: without("d") }))).toEqual(["e"]);
    expect(await paths(openTree({ root: root(), include: ["d/b"], map: without("d") }))).toEqual([]);
  });

  test("may not change what kind of file it is, nor its size or path", async () => {
    for (const change of [{ path: "x" }, { size: 9 }, { mode: FileMode.DIRECTORY }, { linkname: "e" }]) {
      const tree = openTree({ root: temporaryTree({ f: "" }), map: (stat) => ({ ...stat, ...change }) });
      await expect(listing(tree)).rejects.toThrow(TypeError);
    }
  });
});

describe("hard links", () => {
  const entries = {
    "a/first": "same",
    "a/second": { link: "a/first" },
    z: { link: "a/first" },
    other: "",
  } as const;

  test("name the first path and have its size, as with fsutil", async () => {
    const found = await listing(openTree({ root: temporaryTree(entries) }));
    expect(found.map(({ path, linkname, size }) => [path, linkname, size])).toEqual([
      ["a", "", 0],
      ["a/first", "", 4],
      ["a/second", "a/first", 4],
      ["other", "", 0],
      ["z", "a/first", 4],
    ]);
  });

  test.each([
    ["an exclude pattern", { exclude: ["a/first"] }],
    ["an include pattern", { include: ["a/second", "z"] }],
    ["the map hook", { map: (stat: FileStat) => (stat.path === "a/first" ? undefined : stat) }],
  ])("make the first that is left the file when %s takes away the first", async (_how, options) => {
    const tree = openTree({ root: temporaryTree(entries), ...options });
    const found = (await listing(tree)).filter(({ path }) => path !== "a" && path !== "other");
    expect(found.map(({ path, linkname, size }) => [path, linkname, size])).toEqual([
      ["a/second", "", 4],
      ["z", "a/second", 4],
    ]);
  });

  test("are counted anew at every walk", async () => {
    const tree = openTree({ root: temporaryTree(entries) });
    expect(await listing(tree)).toEqual(await listing(tree));
  });

  test("of a symlink are symlinks", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    const root = temporaryTree({ l: { symlink: "x" } });
    execFileSync("ln", ["-P", join(root, "l"), join(root, "m")]);
    expect((await listing(openTree({ root }))).map(({ linkname }) => linkname)).toEqual(["x", "x"]);
  });
});

describe("names", () => {
  test("may hold anything that is UTF-8", async () => {
    const names = [
      "new\nline",
      "back\\slash",
      "quo\"te'",
      " lead",
      "tab\t",
      "\ufffd",
      "é",
      "*",
      "😀",
      "\u0001",
    ];
    const root = temporaryTree(Object.fromEntries(names.map((name) => [name, ""])));
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await paths(openTree({ root }))).toEqual(sorted);
  });

  test("of a large directory, which is read in pieces, come in byte order", () => {
    const names = Array.from({ length: 1500 }, (_, index) => {
      const number = (index * 7919) % 1500;
      return `${["a", "-", "é", "\uffee", "😀"][number % 5]}${number}`;
    });
    const root = temporaryDirectory();
    for (const name of names) writeFileSync(join(root, name), "");
    const reading = readSortedDirectory(root, Number.POSITIVE_INFINITY);
    let turns = 0;
    let step = reading.next();
    for (; step.done !== true; step = reading.next()) turns += 1;
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(step.value.map((entry) => entry.name)).toEqual(sorted);
    expect(turns).toBeGreaterThan(3);
  });

  test("that are no UTF-8 are refused by name, or left out by a pattern", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    const root = temporaryTree({ "d/good": "" });
    writeFileSync(Buffer.concat([Buffer.from(`${root}/d/bad-`), Buffer.from([0xe4])]), "");
    const error = await listing(openTree({ root })).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "ERR_KILN_FILE_UNREADABLE",
      hint: expect.stringContaining("pattern"),
    });
    expect((error as Error).message).toContain("d/bad-\ufffd");
    expect(await paths(openTree({ root, exclude: ["d/bad-*"] }))).toEqual(["d/", "d/good"]);
  });

  test("of directories that are no UTF-8 are refused as well", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    const root = temporaryDirectory();
    mkdirSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]));
    await expect(listing(openTree({ root }))).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
    await expect(listing(openTree({ root, include: ["**/x"] }))).rejects.toMatchObject({
      code: "ERR_KILN_FILE_UNREADABLE",
    });
  });

  test("in symlink targets must be UTF-8 too", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    const root = temporaryDirectory();
    symlinkSync(Buffer.from([0x61, 0xff]), join(root, "l"));
    await expect(listing(openTree({ root }))).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
  });
});

describe("the root", () => {
  test("may be a symlink to a directory", async () => {
    const root = temporaryTree({ "real/f": "", alias: { symlink: "real" } });
    expect(await paths(openTree({ root: join(root, "alias") }))).toEqual(["f"]);
  });

  test("that is missing or a file is refused at once", () => {
    const root = temporaryTree({ f: "" });
    expect(() => openTree({ root: join(root, "none") })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_FILE_NOT_FOUND" }),
    );
    expect(() => openTree({ root: join(root, "f") })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_FILE_UNREADABLE" }),
    );
  });

  test("with a bad pattern is refused at once", () => {
    expect(() => openTree({ root: temporaryTree({}), exclude: ["["] })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_PATTERN" }),
    );
  });
});

describe("a tree that changes while it is walked", () => {
  test("loses what vanishes", async () => {
    const root = temporaryTree({ "a/x": "", "b/y": "", "c/z": "" });
    const map = (stat: FileStat) => {
      if (stat.path === "a") rmSync(join(root, "a"), { recursive: true });
      if (stat.path === "b") rmSync(join(root, "b/y"));
      return stat;
    };
    expect(await paths(openTree({ root, map }))).toEqual(["a/", "b/", "c/", "c/z"]);
  });

  test("does not follow a symlink that takes a directory's place", async () => {
    const outside = temporaryTree({ secret: "" });
    const root = temporaryTree({ "a/x": "", "b/y": "" });
    const map = (stat: FileStat) => {
      if (stat.path !== "a") return stat;
      renameSync(join(root, "b"), join(root, "c"));
      symlinkSync(outside, join(root, "b"));
      return stat;
    };
    expect(await paths(openTree({ root, map }))).toEqual(["a/", "a/x"]);
  });
});

test("a walk stops when its signal is aborted", async () => {
  const root = temporaryTree({ a: "", b: "" });
  const reason = new Error("enough");
  await expect(listing(openTree({ root, map: (stat) => stat }))).resolves.toHaveLength(2);
  const walk = openTree({ root }).walk({ signal: AbortSignal.abort(reason) });
  await expect(walk.next()).rejects.toBe(reason);
});

describe("one file as a tree", () => {
  test("has its own name and nothing beside it", async () => {
    const root = temporaryTree({ f: { file: "1234", mode: 0o600 }, g: "" });
    utimesSync(join(root, "f"), 5, 6);
    expect(await listing(singleFileTree({ path: join(root, "f"), name: "other" }))).toMatchObject([
      { path: "other", size: 4, mode: 0o600, modTime: 6_000_000_000n, uid: 0, linkname: "" },
    ]);
  });

  test("passes through a request's patterns and followed paths", async () => {
    const tree = singleFileTree({ path: join(temporaryTree({ f: "" }), "f") });
    expect(await paths(tree.narrow({ followPaths: ["f"] }))).toEqual(["f"]);
    expect(await paths(tree.narrow({ include: ["g"] }))).toEqual([]);
  });

  test("is refused for a directory, a missing file and a name that is none", () => {
    const root = temporaryTree({ f: "" });
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => singleFileTree({ path: root })).toThrow(code("ERR_KILN_FILE_UNREADABLE"));
    expect(() => singleFileTree({ path: join(root, "none") })).toThrow(code("ERR_KILN_FILE_NOT_FOUND"));
    for (const name of ["", ".", "..", "a/b", "a\0"]) {
      expect(() => singleFileTree({ path: join(root, "f"), name })).toThrow(
        code("ERR_KILN_INVALID_ARGUMENT"),
      );
    }
  });
});
