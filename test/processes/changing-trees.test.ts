import { spawn } from "node:child_process";
import { mkdirSync, renameSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ScanSource } from "../../src/cache/trees/scan-scope.js";
import { scanTree } from "../../src/cache/trees/scan-tree.js";
import { openTree } from "../../src/fsutil/tree.js";
import { expectedEntries } from "../unit/cache/trees/expected-tree.js";
import { later, MemoryStore } from "../unit/cache/trees/memory-store.js";
import { skipUnless } from "../unit/fsutil/skip-unless.js";
import { temporaryTree } from "../unit/fsutil/temporary-tree.js";

const isLinux = process.platform === "linux";

describe("a tree that changes while it is scanned", () => {
  test("has what was there when its files were read", { timeout: 60_000 }, async () => {
    const root = temporaryTree({
      ...{ gone: "1", grown: "2", "to-link": "3", "to-dir": "4", same: "5", "to-file": "6" },
      "d/x": "7",
    });
    const index = new MemoryStore();
    const source: ScanSource = { kind: "dir", root };
    // The thread that reads takes longer to start than the walk does.
    const scanning = scanTree(source, { index, key: "k", now: later, threads: "always" });
    for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    unlinkSync(join(root, "gone"));
    writeFileSync(join(root, "grown"), "22222");
    unlinkSync(join(root, "to-link"));
    symlinkSync("same", join(root, "to-link"));
    unlinkSync(join(root, "to-dir"));
    mkdirSync(join(root, "to-dir"));
    writeFileSync(join(root, "other"), "other");
    renameSync(join(root, "other"), join(root, "to-file"));
    const { manifest } = await scanning;
    const shown = [...manifest.entries()].map(({ path, size, linkname }) => [path, linkname || size]);
    expect(shown).toEqual([
      ...[
        ["d", 0],
        ["d/x", 1],
        ["grown", 5],
        ["same", 1],
      ],
      ...[
        ["to-file", 5],
        ["to-link", "same"],
      ],
    ]);
    const after = await scanTree(source, { index, key: "k", now: later });
    expect([...after.manifest.entries()]).toEqual(await expectedEntries(openTree({ root })));
    expect(after.filesRead).toBe(0);
  });

  test("is refused when a file never holds still", async (context) => {
    skipUnless(context, isLinux, "needs a POSIX shell");
    const root = temporaryTree({ big: "" });
    truncateSync(join(root, "big"), 64 * 1024 * 1024);
    const writer = spawn("sh", ["-c", "while [ -e big ]; do echo . >> big; done"], { cwd: root });
    const index = new MemoryStore();
    try {
      await expect(scanTree({ kind: "dir", root }, { index, key: "k" })).rejects.toMatchObject({
        code: "ERR_KILN_FILE_CHANGED",
        message: expect.stringContaining("/big changed"),
        hint: expect.stringContaining("Build again"),
      });
    } finally {
      writer.kill("SIGKILL");
    }
    expect(index.writes).toBe(0);
  });
});
