import { existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { manifestTree } from "../../../../src/cache/trees/manifest-tree.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { openTree } from "../../../../src/fsutil/tree.js";
import { listing } from "../../fsutil/listing.js";
import { skipUnless } from "../../fsutil/skip-unless.js";
import { temporaryDirectory, temporaryTree } from "../../fsutil/temporary-tree.js";
import { canonicalDigest, expectedEntries } from "./expected-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const isLinux = process.platform === "linux";
const shown = (xattrs: ReadonlyMap<string, Uint8Array> | undefined) =>
  [...(xattrs ?? [])].map(([name, value]) => `${name}=${Buffer.from(value).toString()}`);

/**
 * Puts a program on the path that stands for `getfattr`: a path has the attribute `user.note` with the content of the file
 * that has its name in `notes`. It writes down what it was asked for.
 */
function standInProgram() {
  const directory = temporaryDirectory();
  const log = join(directory, "log");
  const notes = temporaryDirectory();
  const script = [
    "#!/bin/sh",
    'while [ "$1" != "--" ]; do shift; done; shift',
    'for path in "$@"; do',
    `  echo "$path" >> ${log}`,
    `  note=${notes}/\${path##*/}`,
    '  [ -f "$note" ] || continue',
    '  printf "# file: %s\\nuser.note=0s%s\\n\\n" "$path" "$(/usr/bin/base64 -w0 < "$note")"',
    "done",
  ];
  writeFileSync(join(directory, "getfattr"), `${script.join("\n")}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", directory);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  return {
    note: (name: string, text: string) => writeFileSync(join(notes, name), text),
    asked: (root: string) => {
      if (!existsSync(log)) return [];
      const lines = readFileSync(log, "utf8").trim().split("\n");
      rmSync(log);
      return lines.map((line) => line.slice(realpathSync(root).length + 1)).sort();
    },
  };
}

describe("extended attributes", () => {
  test("are read for what is new or changed, and kept for the rest", async (context) => {
    skipUnless(context, isLinux && existsSync("/usr/bin/base64"), "needs Linux with base64");
    const root = temporaryTree({ "a/x": "1", "a/y": "2", link: { symlink: "a" } });
    const program = standInProgram();
    program.note("x", "on x");
    program.note("a", "on the directory");
    const index = new MemoryStore();
    const scan = async () =>
      (await scanTree({ kind: "dir", root }, { index, key: "k", now: later })).manifest;
    const notes = async () => {
      const manifest = await scan();
      const list = await listing(manifestTree(manifest, openTree({ root })));
      const found = [...manifest.entries()];
      expect(list.map(({ xattrs }) => xattrs)).toEqual(found.map(({ xattrs }) => xattrs));
      return Object.fromEntries(found.map(({ path, xattrs }) => [path, shown(xattrs).join()]));
    };
    const first = await scan();
    expect(program.asked(root)).toEqual(["a", "a/x", "a/y", "link"]);
    expect(first.digest).toBe(canonicalDigest(await expectedEntries(openTree({ root }))));
    program.asked(root);
    expect(await notes()).toEqual({
      ...{ a: "user.note=on the directory", "a/x": "user.note=on x", "a/y": "", link: "" },
    });
    expect(program.asked(root)).toEqual([]);
    program.note("y", "on y");
    writeFileSync(join(root, "a/y"), "22");
    expect(await notes()).toEqual({
      ...{ a: "user.note=on the directory", "a/x": "user.note=on x", "a/y": "user.note=on y", link: "" },
    });
    expect(program.asked(root)).toEqual(["a/y"]);
    program.note("b", "on b");
    writeFileSync(join(root, "b"), "");
    expect((await notes())["a/x"]).toBe("user.note=on x");
    expect(program.asked(root)).toEqual(["b"]);
  });

  test("are none where the program is not, and all are read once it is", async (context) => {
    skipUnless(context, isLinux && existsSync("/usr/bin/base64"), "needs Linux with base64");
    const root = temporaryTree({ x: "1" });
    const index = new MemoryStore();
    vi.stubEnv("PATH", "/nowhere");
    const without = await scanTree({ kind: "dir", root }, { index, key: "k", now: later });
    standInProgram().note("x", "note");
    const found = await scanTree({ kind: "dir", root }, { index, key: "k", now: later });
    expect(found.manifest.digest).not.toBe(without.manifest.digest);
    const off = await scanTree({ kind: "dir", root, xattrs: "off" }, { index, key: "k", now: later });
    expect(off.manifest.digest).toBe(without.manifest.digest);
  });
});
