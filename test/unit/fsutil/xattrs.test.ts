import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openTree } from "../../../src/fsutil/tree.js";
import { findXattrProgram, parseXattrs, readXattrs, type Xattrs } from "../../../src/fsutil/xattrs.js";
import { listing } from "./listing.js";
import { skipUnless } from "./skip-unless.js";
import { temporaryDirectory, temporaryTree } from "./temporary-tree.js";

const canSet = (() => {
  if (findXattrProgram() === undefined) return false;
  try {
    execFileSync("setfattr", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test("the program's output is read with its quoting", () => {
  const found = new Map<string, Xattrs>();
  parseXattrs(
    [
      "# file: /a/new\\012line\\134\\075",
      "user.we\\075ird=0sAAH/",
      "user.empty=0s",
      "user.none",
      "com.apple.quarantine=0sAA==",
      "",
      "# file: /ünï",
      "security.capability=0sAQI=",
      "",
      "# file: /only-apple",
      "com.apple.x=0sAA==",
      "",
    ].join("\n"),
    found,
  );
  const plain = [...found].map(([path, xattrs]) => [
    path,
    [...xattrs].map(([name, value]) => [name, [...value]]),
  ]);
  expect(plain).toEqual([
    [
      "/a/new\nline\\=",
      [
        ["user.we=ird", [0, 1, 255]],
        ["user.empty", []],
        ["user.none", []],
      ],
    ],
    ["/ünï", [["security.capability", [1, 2]]]],
  ]);
});

test("the program is looked for on the path, on Linux", () => {
  const directory = temporaryDirectory();
  expect(findXattrProgram(directory, "linux")).toBeUndefined();
  writeFileSync(join(directory, "getfattr"), "#!/bin/sh\n");
  expect(findXattrProgram(directory, "linux")).toBeUndefined();
  chmodSync(join(directory, "getfattr"), 0o755);
  expect(findXattrProgram(`relative:${directory}`, "linux")).toBe(join(directory, "getfattr"));
  expect(findXattrProgram(directory, "darwin")).toBeUndefined();
});

test("a program that cannot be run reads nothing", async () => {
  expect(await readXattrs(join(temporaryDirectory(), "none"), ["/"])).toEqual(new Map());
});

test("reading stops when it is aborted", async () => {
  const directory = temporaryDirectory();
  const program = join(directory, "slow");
  writeFileSync(program, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
  const controller = new AbortController();
  const reading = readXattrs(program, ["/"], controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(reading).rejects.toBe(reason);
});

describe("a tree on a file system with extended attributes", () => {
  test("sends them for files and directories, whatever their names", async (context) => {
    skipUnless(context, canSet, "needs getfattr and setfattr (Debian package attr)");
    const root = temporaryTree({ "d/new\nline": "", "d/back\\slash": "", "-e": "", plain: "" });
    const set = (path: string, name: string, value: string) =>
      execFileSync("setfattr", ["-n", name, "-v", value, "--", join(root, path)]);
    set("d", "user.one", "1");
    set("d/new\nline", "user.two", "0x0001ff");
    set("d/back\\slash", "user.three", "3");
    set("-e", "user.four", "4");
    const found = await listing(openTree({ root }));
    expect(
      found.map(({ path, xattrs }) => [path, [...(xattrs ?? [])].map(([name, value]) => [name, [...value]])]),
    ).toEqual([
      ["-e", [["user.four", [0x34]]]],
      ["d", [["user.one", [0x31]]]],
      ["d/back\\slash", [["user.three", [0x33]]]],
      ["d/new\nline", [["user.two", [0, 1, 255]]]],
      ["plain", []],
    ]);
  });

  test("sends none when told not to", async (context) => {
    skipUnless(context, canSet, "needs getfattr and setfattr (Debian package attr)");
    const root = temporaryTree({ f: "" });
    execFileSync("setfattr", ["-n", "user.one", "-v", "1", join(root, "f")]);
    const [stat] = await listing(openTree({ root, xattrs: "off" }));
    expect(stat?.xattrs).toBeUndefined();
  });
});
