import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import type { ScanSource } from "../../../../src/cache/trees/scan-scope.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { overlayTree } from "../../../../src/fsutil/overlay-tree.js";
import { openTree, singleFileTree, type Tree } from "../../../../src/fsutil/tree.js";
import { skipUnless } from "../../fsutil/skip-unless.js";
import { temporaryDirectory, temporaryTree } from "../../fsutil/temporary-tree.js";
import { canonicalDigest, expectedEntries, totals } from "./expected-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === "linux";

/** Scans twice, and compares both with what a plain walk finds. Returns what the first read. */
async function check(source: ScanSource, tree: Tree, index = new MemoryStore()): Promise<number> {
  const expected = await expectedEntries(tree);
  const first = await scanTree(source, { index, key: "k", now: later });
  expect([...first.manifest.entries()]).toEqual(expected);
  if (source.times !== "keep") expect(first.manifest.digest).toBe(canonicalDigest(expected));
  const { count, files, bytes } = totals(expected);
  expect({ count: first.manifest.count, files: first.manifest.files, bytes: first.manifest.bytes }).toEqual({
    count,
    files,
    bytes,
  });
  const second = await scanTree(source, { index, key: "k", now: later });
  expect([...second.manifest.entries()]).toEqual(expected);
  expect(second).toMatchObject({ filesRead: 0, bytesRead: 0, manifest: { digest: first.manifest.digest } });
  return first.filesRead;
}

/** A directory and a way to scan it, always with the same store. */
function scanner(root: string, source: Partial<ScanSource> = {}) {
  const index = new MemoryStore();
  return {
    index,
    scan: (now: () => number = later) =>
      scanTree({ kind: "dir", root, ...source } as ScanSource, { index, key: "k", now }),
    fresh: () =>
      scanTree({ kind: "dir", root, ...source } as ScanSource, {
        index: new MemoryStore(),
        key: "k",
        now: later,
      }),
  };
}

describe("a scan finds what a walk finds", () => {
  test("files, directories, links, hard links and odd names", async () => {
    const names = ["new\nline", "back\\slash", " lead", "\ufffd", "é", "😀", "\uffee", "*", "\u0001"];
    const root = temporaryTree({
      ...Object.fromEntries(names.map((name) => [`names/${name}`, name])),
      "a-b": "before a/",
      "a/x": "1",
      "a/deep/er/y": { file: "22", mode: 0o755 },
      "a.txt": "after a/",
      empty: { dir: true, mode: 0o700 },
      "link-a": { link: "a/x" },
      "a/zz": { link: "a/x" },
      symlink: { symlink: "../no//where" },
      big: { file: Buffer.alloc(3_000_000, "big") },
      zero: "",
    });
    chmodSync(join(root, "a-b"), 0o4751);
    chmodSync(join(root, "empty"), 0o1777);
    expect(await check({ kind: "dir", root }, openTree({ root }))).toBe(names.length + 8);
    await check(
      { kind: "dir", root, permissions: "normalize" },
      openTree({ root, permissions: "normalize" }),
    );
    await check({ kind: "dir", root, ownership: "keep" }, openTree({ root, ownership: "keep" }));
  });

  test("an empty directory", async () => {
    const root = temporaryDirectory();
    await check({ kind: "dir", root }, openTree({ root }));
  });

  test("pipes, sockets and devices", async (context) => {
    skipUnless(context, isLinux && isRoot, "needs root on Linux");
    const root = temporaryDirectory();
    execFileSync("mkfifo", [join(root, "pipe")]);
    execFileSync("mknod", [join(root, "block"), "b", "259", "70000"]);
    execFileSync("mknod", [join(root, "char"), "c", "1", "3"]);
    const server = createServer().listen(join(root, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      await check({ kind: "dir", root }, openTree({ root }));
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test.each([
    ["a directory", ["node_modules"]],
    ["a directory but for what an exception names", ["a", "!a/b/keep"]],
    ["all but what an exception with a wildcard finds", ["**", "!**/*.js"]],
    ["names everywhere", ["**/*.log", "*.js"]],
    ["nothing after all", ["a", "!a"]],
    ["what is inside", ["a/*", "node_modules/**", "!node_modules/x"]],
    ["what is no UTF-8", ["bad*", "a"]],
  ])("with patterns that leave out %s", async (_what, exclude) => {
    const root = temporaryTree({
      "a/b/keep": "1",
      "a/b/drop": "2",
      "a/x.log": "3",
      "a/empty": { dir: true },
      "node_modules/x/i.js": "4",
      "node_modules/y/z/j.js": "5",
      "src/main.js": "6",
      "main.js": "7",
      "main.log": "8",
      "hollow/in/side": { dir: true },
    });
    if (exclude.includes("bad*")) writeFileSync(Buffer.from(`${root}/bad-\xff`, "latin1"), "");
    await check({ kind: "dir", root, exclude }, openTree({ root, exclude }));
  });

  test("with further files", async () => {
    const root = temporaryTree({
      "a/b": "tree",
      "a.txt": "tree",
      "m/dir/inner": "hidden",
      "held/back": "left out",
      "held/also/x": "left out",
      "partly/x": "left out",
      "partly/keep": "kept",
      gone: { dir: true },
      link: { symlink: "a" },
      linked: { link: "a/b" },
      z: "tree",
    });
    const more = temporaryTree({ x: "further", y: { symlink: "x" } });
    const at = [
      "a/c",
      "a-b",
      "a/b",
      "m/dir",
      "link/inside",
      "é",
      "zz/deep/er",
      "held/more",
      "partly/x",
      "gone/x",
    ];
    const files = new Map([...at.map((path) => [path, join(more, "x")] as const), ["z", join(more, "y")]]);
    const exclude = ["held/*", "partly", "!partly/keep", "gone", "!held/nothing*"];
    await check({ kind: "dir", root, files }, overlayTree(openTree({ root }), files));
    await check({ kind: "dir", root, files, exclude }, overlayTree(openTree({ root, exclude }), files));
  });

  test("of one file", async () => {
    const root = temporaryTree({ f: { file: "1234", mode: 0o600 }, g: "", l: { symlink: "f" } });
    await check(
      { kind: "file", path: join(root, "l"), name: "other" },
      singleFileTree({ path: join(root, "l"), name: "other" }),
    );
    await check({ kind: "file", path: join(root, "f") }, singleFileTree({ path: join(root, "f") }));
  });

  test("with times in its digest on request", async () => {
    const { scan } = scanner(temporaryTree({ f: "1" }), { times: "keep" });
    const root = temporaryTree({ f: "1" });
    const kept = scanner(root, { times: "keep" });
    const before = (await kept.scan()).manifest.digest;
    expect((await scan()).manifest.digest).toBe((await kept.scan()).manifest.digest);
    utimesSync(join(root, "f"), 5, 5);
    expect((await kept.scan()).manifest.digest).not.toBe(before);
  });
});

describe("wrong calls and what cannot be read", () => {
  test("are refused as opening the tree does", async () => {
    const root = temporaryTree({ f: "", "d/x": "" });
    const index = new MemoryStore();
    const code = async (source: ScanSource) =>
      await scanTree(source, { index, key: "k" }).then(
        () => "none",
        (error: { code?: string }) => error.code,
      );
    expect(await code({ kind: "dir", root: join(root, "none") })).toBe("ERR_KILN_FILE_NOT_FOUND");
    expect(await code({ kind: "dir", root: join(root, "f") })).toBe("ERR_KILN_FILE_UNREADABLE");
    expect(await code({ kind: "dir", root, exclude: ["["] })).toBe("ERR_KILN_INVALID_PATTERN");
    expect(await code({ kind: "file", path: join(root, "none") })).toBe("ERR_KILN_FILE_NOT_FOUND");
    expect(await code({ kind: "file", path: root })).toBe("ERR_KILN_FILE_UNREADABLE");
    expect(await code({ kind: "file", path: join(root, "f"), name: "a/b" })).toBe(
      "ERR_KILN_INVALID_ARGUMENT",
    );
    const files = (...paths: string[]) => new Map(paths.map((path) => [path, join(root, "f")]));
    expect(await code({ kind: "dir", root, files: files("../x") })).toBe("ERR_KILN_INVALID_ARGUMENT");
    expect(await code({ kind: "dir", root, files: files("x", "x/y") })).toBe("ERR_KILN_INVALID_ARGUMENT");
    expect(await code({ kind: "dir", root, files: files("x/y", "x") })).toBe("ERR_KILN_INVALID_ARGUMENT");
    expect(index.writes).toBe(0);
  });

  test("names and targets that are no UTF-8 are refused by name", async (context) => {
    skipUnless(context, isLinux, "needs Linux");
    for (const make of [
      (root: string) => writeFileSync(Buffer.from(`${root}/d/bad-\xe4`, "latin1"), ""),
      (root: string) => mkdirSync(Buffer.from(`${root}/d/bad-\xe4`, "latin1")),
      (root: string) => symlinkSync(Buffer.from("a\xff", "latin1"), join(root, "d/bad-link")),
    ]) {
      const root = temporaryTree({ "d/good": "" });
      const { scan, index } = scanner(root);
      await scan();
      make(root);
      await expect(scan()).rejects.toMatchObject({
        code: "ERR_KILN_FILE_UNREADABLE",
        message: expect.stringContaining("d/bad-"),
      });
      expect(index.writes).toBe(1);
    }
  });

  test("a signal that is aborted ends the scan with its reason", async () => {
    const root = temporaryTree({ f: "" });
    const index = new MemoryStore();
    const reason = new Error("enough");
    const options = { index, key: "k", signal: AbortSignal.abort(reason) };
    await expect(scanTree({ kind: "dir", root }, options)).rejects.toBe(reason);
    const stop = new AbortController();
    const running = scanTree({ kind: "dir", root }, { index, key: "k", signal: stop.signal });
    stop.abort(reason);
    await expect(running).rejects.toBe(reason);
  });
});

describe("a second scan", () => {
  test("reads exactly what is new or changed", async () => {
    const root = temporaryTree({ "a/1": "one", "a/2": "two", "b/3": "three", "b/4": "four" });
    const { scan, fresh, index } = scanner(root);
    expect((await scan()).filesRead).toBe(4);
    expect((await scan()).filesRead).toBe(0);
    expect(index.writes).toBe(1);
    writeFileSync(join(root, "a/2"), "TWO");
    writeFileSync(join(root, "a/new"), "new");
    rmSync(join(root, "b/3"));
    const third = await scan();
    expect(third).toMatchObject({ filesRead: 2, bytesRead: 6 });
    expect(third.manifest.digest).toBe((await fresh()).manifest.digest);
    expect((await scan()).filesRead).toBe(0);
  });

  test("sees an edit of the same size whose mtime was put back", async () => {
    const root = temporaryTree({ f: "before" });
    const { scan } = scanner(root);
    const before = await scan();
    const { atime, mtime } = lstatSync(join(root, "f"));
    writeFileSync(join(root, "f"), "after!");
    utimesSync(join(root, "f"), atime, mtime);
    expect(lstatSync(join(root, "f")).mtimeMs).toBe(mtime.getTime());
    const after = await scan();
    expect(after.filesRead).toBe(1);
    expect(after.manifest.digest).not.toBe(before.manifest.digest);
    expect(after.manifest.contentDigest("f")).not.toBe(before.manifest.contentDigest("f"));
  });

  test.each([
    [
      "a file by a link to a copy",
      (at: string) => {
        renameSync(at, `${at}.old`);
        symlinkSync(`${at}.old`, at);
      },
    ],
    [
      "a file by a directory",
      (at: string) => {
        unlinkSync(at);
        mkdirSync(at);
      },
    ],
    [
      "a file by another file",
      (at: string) => {
        writeFileSync(`${at}.n`, "54321");
        renameSync(`${at}.n`, at);
      },
    ],
    [
      "a file by a pipe",
      (at: string) => {
        unlinkSync(at);
        execFileSync("mkfifo", [at]);
      },
    ],
    ["permissions", (at: string) => chmodSync(at, 0o711)],
    ["nothing but a further link", (at: string) => linkSync(at, `${at}-linked`)],
    [
      "a directory by a link to it",
      (at: string) => {
        renameSync(join(at, "../sub"), join(at, "../moved"));
        symlinkSync("moved", join(at, "../sub"));
      },
    ],
    [
      "a directory by a file",
      (at: string) => {
        rmSync(join(at, "../sub"), { recursive: true });
        writeFileSync(join(at, "../sub"), "");
      },
    ],
    [
      "a link's target",
      (at: string) => {
        unlinkSync(join(at, "../link"));
        symlinkSync("gets", join(at, "../link"));
      },
    ],
    ["a file that moves away", (at: string) => renameSync(at, `${at}-away`)],
    ["a directory's permissions", (at: string) => chmodSync(join(at, "../sub"), 0o700)],
  ])("sees changed: %s", async (_what, change) => {
    const root = temporaryTree({
      "d/f": "12345",
      "d/sub/x": "1",
      "d/sub/y/z": "2",
      "d/link": { symlink: "goes" },
    });
    const { scan, fresh } = scanner(root);
    const before = await scan();
    change(join(root, "d/f"));
    const after = await scan();
    expect([...after.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
    expect(after.manifest.digest).not.toBe(before.manifest.digest);
    expect(after.manifest.digest).toBe((await fresh()).manifest.digest);
  });

  test("sees what a name that was left out before has become", async () => {
    const root = temporaryTree({ "keep/x": "1", "out/y": "2", "a.log": "3", "deep/b.js": "4" });
    const exclude = ["out", "*.log", "deep", "!deep/**/*.txt"];
    const { scan } = scanner(root, { exclude });
    await scan();
    writeFileSync(join(root, "out/more"), "");
    writeFileSync(join(root, "b.log"), "");
    expect((await scan()).filesRead).toBe(0);
    mkdirSync(join(root, "deep/er"));
    writeFileSync(join(root, "deep/er/new.txt"), "");
    writeFileSync(join(root, "b.txt"), "");
    const after = await scan();
    expect(after.filesRead).toBe(2);
    expect([...after.manifest.entries()]).toEqual(await expectedEntries(openTree({ root, exclude })));
  });

  test("does not walk what is left out", async () => {
    const root = temporaryTree({ "keep/x": "1", "out/y": "2" });
    const { scan, index } = scanner(root, { exclude: ["out", "!keep/out"] });
    expect([...(await scan()).manifest.entries()].map(({ path }) => path)).toEqual(["keep", "keep/x"]);
    writeFileSync(join(root, "out/more"), "");
    writeFileSync(Buffer.from(`${root}/out/bad-\xff`, "latin1"), "");
    expect((await scan()).filesRead).toBe(0);
    expect(index.writes).toBe(1);
  });

  test("sees a further file that changed, and does not read it otherwise", async () => {
    const root = temporaryTree({ "a/b": "1" });
    const file = join(temporaryTree({ x: "one" }), "x");
    const files = new Map([["a/extra", file]]);
    const { scan } = scanner(root, { files } as Partial<ScanSource>);
    expect((await scan()).filesRead).toBe(2);
    expect((await scan()).filesRead).toBe(0);
    writeFileSync(file, "two");
    const after = await scan();
    expect(after.filesRead).toBe(1);
    expect([...after.manifest.entries()]).toEqual(
      await expectedEntries(overlayTree(openTree({ root }), files)),
    );
    rmSync(file);
    await expect(scan()).rejects.toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND" });
  });

  test("knows hard links by what is left of them", async () => {
    const root = temporaryTree({ "a/1": "same", "b/2": { link: "a/1" }, "c/3": { link: "a/1" } });
    const { scan } = scanner(root);
    await scan();
    rmSync(join(root, "a/1"));
    const { manifest } = await scan();
    expect([...manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
    expect([...manifest.entries()].map(({ linkname, size }) => [linkname, size])).toEqual([
      ["", 0],
      ["", 0],
      ["", 4],
      ["", 0],
      ["b/2", 0],
    ]);
  });

  test("of another root, view or list of patterns starts from nothing", async () => {
    const entries = { "a/1": "one", b: { file: "2", mode: 0o640 } } as const;
    const root = temporaryTree(entries);
    const index = new MemoryStore();
    const read = async (source: Partial<ScanSource>) =>
      (await scanTree({ kind: "dir", root, ...source } as ScanSource, { index, key: "k", now: later }))
        .filesRead;
    expect(await read({})).toBe(2);
    expect(await read({ root: temporaryTree(entries) } as Partial<ScanSource>)).toBe(2);
    expect(await read({ permissions: "normalize" })).toBe(2);
    expect(await read({ exclude: ["b"] } as Partial<ScanSource>)).toBe(1);
    expect(await read({ exclude: ["b"] } as Partial<ScanSource>)).toBe(0);
  });
});

describe("the clock", () => {
  test("that has not ticked since a file changed makes it be read again", async () => {
    const root = temporaryTree({ f: "before", g: "old" });
    const { scan, index } = scanner(root);
    const changedAt = () => Math.max(...["f", "g"].map((name) => lstatSync(join(root, name)).ctimeMs));
    expect((await scan(changedAt)).filesRead).toBe(2);
    expect((await scan(changedAt)).filesRead).toBe(2);
    // As if it had happened within the tick: the stat is all the same.
    const soon = changedAt() + 2_500;
    expect((await scan(() => soon)).filesRead).toBe(2);
    expect((await scan(() => soon)).filesRead).toBe(0);
    expect(index.writes).toBe(3);
  });

  test("that was set back since the last scan makes everything be read again", async () => {
    const root = temporaryTree({ f: "1", g: "2" });
    const { scan } = scanner(root);
    expect((await scan(() => Date.now() + 7_200_000)).filesRead).toBe(2);
    expect((await scan(() => Date.now() + 3_600_000)).filesRead).toBe(2);
    expect((await scan(() => Date.now() + 3_700_000)).filesRead).toBe(0);
  });

  test("that is behind a file's times never trusts it", async () => {
    const root = temporaryTree({ f: "1" });
    const { scan } = scanner(root);
    const past = () => Date.now() - 3_600_000;
    expect((await scan(past)).filesRead).toBe(1);
    expect((await scan(past)).filesRead).toBe(1);
    utimesSync(join(root, "f"), Date.now() / 1000 + 1e6, Date.now() / 1000 + 1e6);
    expect((await scan()).filesRead).toBe(1);
    expect((await scan()).filesRead).toBe(1);
  });
});

test("a damaged manifest is a scan from nothing", async () => {
  const root = temporaryTree({ "a/1": "one", "a/2": "two", l: { symlink: "a" } });
  const cacheDir = temporaryDirectory();
  const key = "0123456789abcdef01234567";
  const scan = () => {
    const index = openCacheIndex({ cacheDir, env: {} });
    return scanTree({ kind: "dir", root }, { index, key, now: later });
  };
  const { digest } = (await scan()).manifest;
  const [name] = readdirSync(cacheDir, { recursive: true, encoding: "utf8" }).filter((each) =>
    each.endsWith(`trees/${key}`),
  );
  const file = join(cacheDir, name ?? "");
  const good = readFileSync(file);
  for (let at = 0; at < good.length; at += 97) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
    writeFileSync(file, bad);
    const again = await scan();
    expect([at, again.filesRead, again.manifest.digest]).toEqual([at, 2, digest]);
  }
  const others = [good.subarray(0, 7), good.subarray(0, -1), Buffer.concat([good, Buffer.from([0])])];
  for (const bytes of [...others, readFileSync(new URL(import.meta.url))]) {
    writeFileSync(file, bytes);
    expect((await scan()).filesRead).toBe(2);
  }
});

test("a manifest whose header was damaged or cut off is a scan from nothing, whoever keeps it", async () => {
  const root = temporaryTree({ "a/1": "one", "a/2": "two", l: { symlink: "a" } });
  const { scan, index } = scanner(root);
  await scan();
  const good = index.kept.get("k") ?? Buffer.alloc(0);
  for (let at = 0; at < 136; at += 1) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
    index.kept.set("k", bad);
    expect([at, (await scan()).filesRead]).toEqual([at, 2]);
  }
  for (const length of [0, 7, 100, good.length - 1]) {
    index.kept.set("k", good.subarray(0, length));
    expect((await scan()).filesRead).toBe(2);
  }
});

test("what few changes leave for the next scan may be kept later", async () => {
  const root = temporaryTree({ "a/1": "one", "a/2": "two" });
  const index = new MemoryStore();
  const waiting: (() => Promise<void>)[] = [];
  const scan = () =>
    scanTree(
      { kind: "dir", root },
      { index, key: "k", now: later, later: (keep) => void waiting.push(keep) },
    );
  await scan();
  // A whole walk is worth keeping at once.
  expect([index.writes, waiting.length]).toEqual([1, 0]);
  writeFileSync(join(root, "a/1"), "ONE");
  const changed = await scan();
  expect([index.writes, waiting.length]).toEqual([1, 1]);
  expect(await scan()).toMatchObject({ filesRead: 1, manifest: { digest: changed.manifest.digest } });
  for (const keep of waiting) await keep();
  expect(await scan()).toMatchObject({ filesRead: 0, manifest: { digest: changed.manifest.digest } });
});
