import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { indexUse } from "../../../src/cache/records/index-use.js";
import { pruneIndex } from "../../../src/cache/records/prune-index.js";
import { verifyIndex } from "../../../src/cache/records/verify-index.js";
import { openCache } from "../../../src/engine/open-cache.js";
import { keptRootfs } from "../../../src/layers/kept-rootfs.js";
import { rootfsLayout } from "../../../src/layers/rootfs-layout.js";
import { parsePlatform } from "../../../src/oci/index.js";
import { tarOf } from "./tar-bytes.js";

const platform = parsePlatform("linux/amd64");
const day = 86_400_000;
let dir: string;
let cacheDir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-kept-"));
  cacheDir = join(dir, "cache");
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function make(name: string): Promise<string> {
  const file = join(dir, `${name}.tar`);
  if (!existsSync(file)) writeFileSync(file, await tarOf([{ name: "etc/name", content: name }]));
  return (await rootfsLayout(file, { cacheDir, platform })).dir;
}

function setUsed(at: number): void {
  for (const kind of ["layouts", "files"]) {
    const parent = join(cacheDir, "rootfs", kind);
    for (const name of readdirSync(parent)) utimesSync(join(parent, name), at / 1000, at / 1000);
  }
}

it("layouts and what is known of tars are counted with the index", async () => {
  const layout = await make("one");
  const { kinds, records, bytes } = await indexUse(openCache({ cacheDir, env: {} }));
  expect(kinds).toMatchObject([{ kind: "rootfs", records: 2 }]);
  expect(records).toBe(2);
  expect(bytes).toBeGreaterThan(statSync(join(dir, "one.tar")).size);
  expect(existsSync(layout)).toBe(true);
});

it("what no build used for long is removed; a build marks what it uses", async () => {
  const used = await make("used");
  const unused = await make("unused");
  setUsed(Date.now() - 40 * day);
  expect(await make("used")).toBe(used);
  const index = openCache({ cacheDir, env: {} });
  expect((await pruneIndex(index)).removed).toMatchObject([{ kind: "rootfs", records: 2 }]);
  expect([existsSync(used), existsSync(unused)]).toEqual([true, false]);
  expect(readdirSync(join(cacheDir, "rootfs", "files"))).toHaveLength(1);
  expect(readdirSync(join(cacheDir, "rootfs", "new"))).toEqual([]);
  expect(await make("unused")).toBe(unused);
});

it("what was used within the hour stays whatever the bounds, and goes after it", async () => {
  const layout = await make("one");
  const prune = (at: number) =>
    pruneIndex(openCache({ cacheDir, env: {}, now: () => at }), { maxBytes: 0, maxAgeMs: 0 });
  expect(await prune(Date.now())).toMatchObject({ removed: [], keptRecords: 2 });
  expect(existsSync(layout)).toBe(true);
  expect(await prune(Date.now() + 3_700_000)).toMatchObject({ keptRecords: 0, keptBytes: 0, failed: 0 });
  expect(existsSync(layout)).toBe(false);
});

it("a damaged layout and a record that is none are found, and removed when asked to", async () => {
  const layout = await make("one");
  await make("two");
  const index = openCache({ cacheDir, env: {} });
  expect(await verifyIndex(index)).toMatchObject({ checked: 4, damaged: [] });
  const blobs = join(layout, "blobs", "sha256");
  const largest = readdirSync(blobs).sort(
    (a, b) => statSync(join(blobs, b)).size - statSync(join(blobs, a)).size,
  );
  truncateSync(join(blobs, largest[0]!), 1000);
  writeFileSync(join(cacheDir, "rootfs", "files", "x.json"), "{}");
  writeFileSync(join(cacheDir, "rootfs", "layouts", "y"), "");
  const { damaged } = await verifyIndex(index, { repair: true });
  expect(damaged.map(({ kind, problem, repaired }) => `${kind}: ${problem}, ${repaired}`).sort()).toEqual([
    "rootfs: it is no layout, true",
    "rootfs: it is no record of a tar, true",
    `rootfs: the content of its blob ${largest[0]} has another digest, true`,
  ]);
  expect(await verifyIndex(index)).toMatchObject({ damaged: [], checked: 3 });
  expect(await make("one")).toBe(layout);
  expect(await verifyIndex(index)).toMatchObject({ damaged: [], checked: 4 });
});

it("nothing is listed where there is nothing", async () => {
  for await (const item of keptRootfs(cacheDir)) throw new Error(item.path);
  expect(existsSync(cacheDir)).toBe(false);
});
