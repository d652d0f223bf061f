import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { CacheIndex } from "../../../../src/cache/records/cache-index.js";
import { openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import type { TreeManifest } from "../../../../src/cache/trees/tree-manifest.js";
import { keepManifest } from "../../../../src/engine/trees/kept-manifests.js";
import { bytesToUpload, noteUpload } from "../../../../src/engine/trees/upload-record.js";
import { volatileFiles } from "../../../../src/engine/trees/volatile-files.js";
import { temporaryDirectory } from "../../fsutil/temporary-tree.js";

function scene(): {
  readonly root: string;
  readonly index: CacheIndex;
  readonly scan: () => Promise<TreeManifest>;
} {
  const dir = temporaryDirectory();
  const root = join(dir, "tree");
  mkdirSync(root);
  for (let file = 0; file < 300; file += 1) writeFileSync(join(root, `f${file}`), `content ${file}`);
  const index = openCacheIndex({ cacheDir: join(dir, "cache"), env: {} });
  const scan = async (): Promise<TreeManifest> => {
    const options = { index, key: "0123456789abcdef01234567", threads: "off" } as const;
    const { manifest } = await scanTree({ kind: "dir", root }, options);
    await keepManifest(index, manifest);
    return manifest;
  };
  return { root, index, scan };
}

test("files that changed between two looks are volatile from then on", async () => {
  const { root, index, scan } = scene();
  const look = async (): Promise<readonly string[]> => [
    ...(await volatileFiles(index, { key: "tree", manifest: await scan() })),
  ];
  expect(await look()).toEqual([]);
  appendFileSync(join(root, "f7"), "!");
  expect(await look()).toEqual(["f7"]);
  expect(await look()).toEqual(["f7"]);
  writeFileSync(join(root, "new"), "x");
  renameSync(join(root, "f9"), join(root, "g9"));
  rmSync(join(root, "f10"));
  expect(await look()).toEqual(["f7", "new", "g9"]);
});

test("a tree that is another one altogether says nothing of its files", async () => {
  const { root, index, scan } = scene();
  await volatileFiles(index, { key: "tree", manifest: await scan() });
  for (let file = 0; file < 300; file += 1) appendFileSync(join(root, `f${file}`), "!");
  expect((await volatileFiles(index, { key: "tree", manifest: await scan() })).size).toBe(0);
});

test("what a daemon got is not sent again, and of a changed tree only what changed", async () => {
  const { root, index, scan } = scene();
  const bytes = async (daemon = "unix:///a"): Promise<number> =>
    bytesToUpload(index, daemon, { key: "tree", manifest: await scan() });
  const all = (await scan()).bytes;
  expect(await bytes()).toBe(all);
  await noteUpload(index, "unix:///a", { key: "tree", manifest: await scan() });
  expect(await bytes()).toBe(0);
  expect(await bytes("unix:///b")).toBe(all);
  writeFileSync(join(root, "f3"), "twelve bytes");
  expect(await bytes()).toBe(12);
});
