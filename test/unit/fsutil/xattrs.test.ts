import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findXattrProgram, parseXattrs, readXattrs, type Xattrs } from "../../../src/fsutil/xattrs.js";
import { temporaryDirectory } from "./temporary-tree.js";

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
