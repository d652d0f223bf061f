import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import { SharedWalks } from "../../../../src/cache/trees/shared-walks.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Walks that end when they are told to. */
function walks() {
  const begun: { readonly signal: AbortSignal; readonly end: (value: number) => void }[] = [];
  const shared = new SharedWalks<number>();
  const join = (signal?: AbortSignal) =>
    shared.join(
      "name",
      (own) =>
        new Promise((resolve, reject) => {
          own.addEventListener("abort", () => reject(own.reason));
          begun.push({ signal: own, end: resolve });
        }),
      signal,
    );
  return { begun, join };
}

describe("walks that are shared", () => {
  test("are joined before they begin, never after", async () => {
    const { begun, join } = walks();
    const together = [join(), join()];
    await turn();
    expect(begun).toHaveLength(1);
    const next = [join(), join(), join()];
    await turn();
    expect(begun).toHaveLength(1);
    begun[0]?.end(1);
    expect(await Promise.all(together)).toEqual([1, 1]);
    await turn();
    expect(begun).toHaveLength(2);
    const third = join();
    begun[1]?.end(2);
    expect(await Promise.all(next)).toEqual([2, 2, 2]);
    await turn();
    begun[2]?.end(3);
    expect(await third).toBe(3);
    expect(begun).toHaveLength(3);
  });

  test("end when the last who waits gives up, and not before", async () => {
    const { begun, join } = walks();
    const [one, two] = [new AbortController(), new AbortController()];
    const [first, second] = [join(one.signal), join(two.signal)];
    await turn();
    one.abort(new Error("one"));
    await expect(first).rejects.toThrow("one");
    expect(begun[0]?.signal.aborted).toBe(false);
    two.abort(new Error("two"));
    await expect(second).rejects.toThrow("two");
    expect(begun[0]?.signal.aborted).toBe(true);
    const after = join();
    await turn();
    begun[1]?.end(5);
    expect(await after).toBe(5);
  });

  test("that were given up before they began are not joined", async () => {
    const { begun, join } = walks();
    const running = join();
    await turn();
    const stop = new AbortController();
    const waiting = join(stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    const after = join();
    begun[0]?.end(1);
    expect(await running).toBe(1);
    await turn();
    begun[1]?.end(2);
    expect(await after).toBe(2);
  });

  test("that fail do so for all who share them, and the next begins", async () => {
    const shared = new SharedWalks<number>();
    const fail = () => shared.join("name", () => Promise.reject(new Error("broken")), undefined);
    const settled = await Promise.allSettled([fail(), fail()]);
    expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(await shared.join("name", async () => 1, undefined)).toBe(1);
  });
});

describe("scans of one key at the same time", () => {
  test("walk once", async () => {
    const root = temporaryTree({ a: "1", b: "2" });
    const index = new MemoryStore();
    const source = { kind: "dir", root } as const;
    const found = await Promise.all(
      Array.from({ length: 5 }, () => scanTree(source, { index, key: "k", now: later })),
    );
    expect(new Set(found.map(({ manifest }) => manifest)).size).toBe(1);
    expect(index.writes).toBe(1);
  });

  test("walk once though each has a store of its own, if that is one directory", async () => {
    const root = temporaryTree({ a: "1", b: "2" });
    const dir = temporaryTree({});
    const stores = Array.from({ length: 3 }, () => openCacheIndex({ cacheDir: dir, env: {} }));
    const found = await Promise.all(
      stores.map((index) => scanTree({ kind: "dir", root }, { index, key: "0a", now: later })),
    );
    expect(new Set(found.map(({ manifest }) => manifest)).size).toBe(1);
    const elsewhere = openCacheIndex({ cacheDir: temporaryTree({}), env: {} });
    const [here, there] = await Promise.all(
      [stores[0]!, elsewhere].map((index) =>
        scanTree({ kind: "dir", root }, { index, key: "0a", now: later }),
      ),
    );
    expect([here?.filesRead, there?.filesRead]).toEqual([0, 2]);
  });

  test("see what was changed before they were asked for, though one runs", async () => {
    const root = temporaryTree(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`d${n}/f`, "old"])));
    const index = new MemoryStore();
    const source = { kind: "dir", root } as const;
    const digests = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const running = scanTree(source, { index, key: "k", now: later });
      for (let turns = round % 5; turns > 0; turns -= 1) await turn();
      writeFileSync(join(root, `d${round}/f`), `new ${round}`);
      const after = await scanTree(source, { index, key: "k", now: later });
      const fresh = await scanTree(source, { index: new MemoryStore(), key: "k", now: later });
      expect(after.manifest.digest).toBe(fresh.manifest.digest);
      digests.add(fresh.manifest.digest);
      await running;
    }
    expect(digests.size).toBe(20);
  });
});
