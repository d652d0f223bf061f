import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CacheArea } from "../../../../src/cache/records/cache-area.js";
import { type CacheIndex, openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import { indexUse } from "../../../../src/cache/records/index-use.js";
import { pruneIndex } from "../../../../src/cache/records/prune-index.js";
import type { RecordKind } from "../../../../src/cache/records/record-kind.js";
import { processMark } from "../../../../src/internal/process-mark.js";
import { sha256 } from "../../../../src/oci/digest.js";
import { all, testCache } from "./test-cache.js";

const cache = testCache();
const hour = 3_600_000;
const day = 24 * hour;
const now = 1_900_000_000_000;

/** A record of some 1,100 bytes that was used so long ago. */
async function record(index: CacheIndex, kind: RecordKind, key: string, age: number): Promise<void> {
  await index.write(kind, key, "x".repeat(1000));
  setAge(cache.file(kind, key), age);
}

async function blob(index: CacheIndex, content: string, age: number): Promise<string> {
  const digest = sha256(content);
  const scratch = await index.blobs.scratch();
  writeFileSync(scratch, content);
  await index.blobs.keep(scratch, digest);
  setAge(index.blobs.path(digest), age);
  return digest;
}

function setAge(path: string, age: number): void {
  utimesSync(path, (now - age) / 1000, (now - age) / 1000);
}

async function keys(index: CacheIndex, kind: RecordKind): Promise<readonly string[]> {
  return (await all(index.list(kind))).map(({ key }) => key).sort();
}

describe("pruning", () => {
  it("removes what was not used for too long, and says how much", async () => {
    const index = cache.open({}, now);
    await record(index, "files", "young", 29 * day);
    await record(index, "files", "old", 31 * day);
    await record(index, "builds", "ancient", 400 * day);
    const size = statSync(cache.file("files", "young")).size;
    const sizeOfBuild = statSync(cache.file("builds", "ancient")).size;
    expect(await pruneIndex(index)).toEqual({
      removed: [
        { kind: "builds", records: 1, bytes: sizeOfBuild },
        { kind: "files", records: 1, bytes: size },
      ],
      freedBytes: size + sizeOfBuild,
      keptRecords: 1,
      keptBytes: size,
      failed: 0,
    });
    expect(await keys(index, "files")).toEqual(["young"]);
    expect(await keys(index, "builds")).toEqual([]);
  });

  it("removes the least recently used first, of whatever kind, until the rest is within bounds", async () => {
    const index = cache.open({}, now);
    await record(index, "files", "a", 5 * hour);
    await record(index, "sources", "b", 4 * hour);
    const digest = await blob(index, "y".repeat(1000), 3 * hour);
    await record(index, "files", "c", 2 * hour);
    await record(index, "trees", "d", 1 * hour);
    // A read makes the oldest the youngest.
    expect(await index.read("files", "a")).toHaveLength(1000);
    const result = await pruneIndex(index, { maxBytes: 2500 });
    expect(result.removed.map(({ kind, records }) => `${kind} ${records}`)).toEqual([
      "sources 1",
      "blobs 1",
      "files 1",
    ]);
    expect(await index.blobs.has(digest)).toBe(false);
    expect([await keys(index, "files"), await keys(index, "trees")]).toEqual([["a"], ["d"]]);
    expect(result.keptBytes).toBeLessThanOrEqual(2500);
    expect(result.keptBytes + result.freedBytes).toBeGreaterThan(5000);
  });

  it("removes nothing when it only asks what would go", async () => {
    const index = cache.open({}, now);
    await record(index, "files", "a", 40 * day);
    expect(await pruneIndex(index, { maxBytes: 0, dryRun: true })).toMatchObject({
      removed: [{ kind: "files", records: 1 }],
      keptRecords: 0,
    });
    expect(await keys(index, "files")).toEqual(["a"]);
  });

  it("leaves blobs that were used within the hour, whatever the bounds", async () => {
    const index = cache.open({}, now);
    const fresh = await blob(index, "fresh", 59 * 60_000);
    const stale = await blob(index, "stale", 61 * 60_000);
    const asked = await blob(index, "asked", 5 * hour);
    expect(await index.blobs.has(asked)).toBe(true);
    await record(index, "files", "a", 0);
    const result = await pruneIndex(index, { maxBytes: 0, maxAgeMs: 0 });
    expect([existsSync(index.blobs.path(fresh)), existsSync(index.blobs.path(asked))]).toEqual([true, true]);
    expect(existsSync(index.blobs.path(stale))).toBe(false);
    expect(await keys(index, "files")).toEqual([]);
    expect(result).toMatchObject({ keptRecords: 2, keptBytes: 10 });
  });

  it("keeps the newest thousand builds", async () => {
    const index = cache.open({}, now);
    await record(index, "files", "older-than-all", 2 * day);
    mkdirSync(cache.file("builds", ""), { recursive: true });
    for (let age = 1; age <= 1003; age += 1) {
      const file = cache.file("builds", `b${age}`);
      writeFileSync(file, "");
      setAge(file, age * 60_000);
    }
    expect((await pruneIndex(index)).removed).toEqual([{ kind: "builds", records: 3, bytes: 0 }]);
    const left = await keys(index, "builds");
    expect(left).toHaveLength(1000);
    expect(["b1001", "b1002", "b1003"].some((key) => left.includes(key))).toBe(false);
    expect(await keys(index, "files")).toEqual(["older-than-all"]);
  });

  it("sweeps what killed processes left, and removes whatever lies among the records", async () => {
    const index = cache.open({}, now);
    const blobFile = await index.blobs.scratch();
    writeFileSync(blobFile, "under way");
    const [scope, pid] = processMark().split(".");
    writeFileSync(join(index.places.scratch, `${scope}.${pid}.1.abc`), "half");
    mkdirSync(join(cache.file("files", "Odd.Thing"), "deep"), { recursive: true });
    setAge(cache.file("files", "Odd.Thing"), 40 * day);
    await pruneIndex(index);
    expect(readdirSync(index.places.scratch).map((name) => join(index.places.scratch, name))).toEqual([
      blobFile,
    ]);
    expect(readdirSync(cache.file("files", ""))).toEqual([]);
  });

  it("leaves an item that is used while it is being listed", async () => {
    const path = join(cache.dir, "big");
    const area: CacheArea = {
      kind: "beside",
      scratch: join(cache.dir, "out"),
      graceMs: 0,
      async *items() {
        yield { name: "big", path, bytes: 10, usedAt: now - 40 * day };
        // Somebody takes it up.
        setAge(path, 0);
      },
      check: async () => undefined,
    };
    mkdirSync(path);
    const index = openCacheIndex({ cacheDir: cache.dir, env: {}, now: () => now, areas: [area] });
    expect(await pruneIndex(index)).toMatchObject({ removed: [], keptRecords: 1, failed: 0 });
    expect(existsSync(path)).toBe(true);
  });

  it("ends with the signal's reason", async () => {
    const reason = new Error("enough");
    await expect(pruneIndex(cache.open(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("runs beside writers and readers, who see whole records or none", async () => {
    const index = cache.open();
    let isOver = false;
    let seen = 0;
    const work = async (name: string): Promise<void> => {
      for (let turn = 0; !isOver; turn += 1) {
        await index.write("files", `${name}-${turn % 5}`, { name, turn });
        const value = await index.read("files", `${name}-${turn % 5}`);
        if (value === undefined) continue;
        expect(value).toEqual({ name, turn });
        seen += 1;
      }
    };
    const workers = ["a", "b", "c"].map(work);
    for (let turn = 0; turn < 10 || seen <= 30; turn += 1) await pruneIndex(cache.open(), { maxBytes: 0 });
    isOver = true;
    await Promise.all(workers);
    expect(seen).toBeGreaterThan(30);
    expect(index.problems).toEqual([]);
    expect(readdirSync(index.places.scratch)).toEqual([]);
    expect(existsSync(index.places.damaged)).toBe(false);
  });
});

describe("pruning by itself", () => {
  it("happens once a day at most, also after the clock was set back", async () => {
    const file = cache.file("files", "k");
    const isPruned = async (at: number): Promise<boolean> => {
      await record(cache.open(), "files", "k", 100 * day);
      await cache.open({}, at).autoPrune();
      return !existsSync(file);
    };
    expect(await isPruned(now)).toBe(true);
    expect(await isPruned(now + 23 * hour)).toBe(false);
    expect(await isPruned(now + 24 * hour)).toBe(true);
    expect(await isPruned(now + 25 * hour)).toBe(false);
    expect(await isPruned(now)).toBe(true);
  });

  it("keeps to the bounds of the environment", async () => {
    const index = cache.open({ KILN_CACHE_MAX_AGE: "2h" }, now);
    await record(index, "files", "young", 1 * hour);
    await record(index, "files", "old", 3 * hour);
    await index.autoPrune();
    expect(await keys(index, "files")).toEqual(["young"]);
    expect(index.problems).toEqual([]);
  });
});

it("what there is is counted by kind", async () => {
  const index = cache.open({}, now);
  expect(await indexUse(index)).toEqual({ kinds: [], records: 0, bytes: 0 });
  await record(index, "files", "a", 5 * hour);
  await record(index, "files", "b", 3 * hour);
  await blob(index, "12345", 2 * hour);
  const size = statSync(cache.file("files", "a")).size;
  expect(await indexUse(index)).toEqual({
    kinds: [
      { kind: "files", records: 2, bytes: 2 * size, oldest: now - 5 * hour, newest: now - 3 * hour },
      { kind: "blobs", records: 1, bytes: 5, oldest: now - 2 * hour, newest: now - 2 * hour },
    ],
    records: 3,
    bytes: 2 * size + 5,
  });
});
