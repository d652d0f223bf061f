import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { SafeRoot } from "../../../src/fsutil/safe-root.js";
import { processMark } from "../../../src/internal/process-mark.js";
import { isLeftover, sweepUnfinished, unfinishedName } from "../../../src/internal/unfinished-file.js";
import { prepareOutputs } from "../../../src/solver/prepare-outputs.js";
import { temporaryDirectory } from "../fsutil/temporary-tree.js";

const { pid } = spawnSync("true");

/** The name that a process which is no more would have given. */
function left(path: string): string {
  const [scope = "", own = "", start = ""] = processMark().split(".");
  return unfinishedName(path).replace(`${scope}.${own}.${start}`, `${scope}.${pid}.1`);
}

describe("what a process left unfinished", () => {
  test("is removed once that process is no more, and nothing else", async () => {
    const dir = temporaryDirectory();
    const others = [unfinishedName(join(dir, "a")), join(dir, "a"), join(dir, "a.tmp"), left(join(dir, "b"))];
    for (const path of [...others, left(join(dir, "a"))]) writeFileSync(path, "");
    const staged = left(join(dir, "a"));
    mkdirSync(join(staged, "blobs"), { recursive: true });
    await sweepUnfinished(dir, "a");
    expect(readdirSync(dir).sort()).toEqual(others.map((path) => basename(path)).sort());
    await sweepUnfinished(dir);
    expect(readdirSync(dir)).toHaveLength(3);
    await sweepUnfinished(join(dir, "none"));
  });

  test("is found by long names, which are cut", async () => {
    const dir = temporaryDirectory();
    const name = "n".repeat(200);
    const path = left(join(dir, name));
    writeFileSync(path, "");
    expect(isLeftover(basename(path), name)).toBe(true);
    await sweepUnfinished(dir, name);
    expect(existsSync(path)).toBe(false);
  });

  test("goes before outputs of the same names are written", async () => {
    const dir = temporaryDirectory();
    const layout = join(dir, "layout");
    const blobs = join(layout, "blobs", "sha256");
    mkdirSync(blobs, { recursive: true });
    const leftovers = [
      ...[left(join(dir, "image.tar")), left(join(dir, ".image.tar"))],
      ...[left(join(layout, "index.json")), left(join(blobs, "0123"))],
    ];
    const other = left(join(dir, "other.tar"));
    for (const path of [...leftovers, other]) writeFileSync(path, "");
    await prepareOutputs([
      { type: "oci-tar", target: join(dir, "image.tar"), options: {} },
      { type: "oci-layout", dir: layout, options: {} },
    ]);
    expect(leftovers.filter((path) => existsSync(path))).toEqual([]);
    expect(existsSync(other)).toBe(true);
  });

  test("goes when files are written into its directory, below as well", () => {
    const dir = temporaryDirectory();
    mkdirSync(join(dir, "below"));
    const leftovers = [left(join(dir, ".kiln-1")), left(join(dir, "below", ".kiln-2"))];
    const others = [join(dir, ".kiln-3"), left(join(dir, "theirs")), left(join(dir, ".kiln-4"))];
    for (const path of [...leftovers, ...others.slice(0, 2)]) writeFileSync(path, "");
    // No file of ours.
    mkdirSync(others[2] ?? "");
    const root = SafeRoot.open(dir);
    root.makeDirectory("below");
    root.close();
    expect(leftovers.filter((path) => existsSync(path))).toEqual([]);
    expect(others.filter((path) => existsSync(path))).toEqual(others);
  });
});
