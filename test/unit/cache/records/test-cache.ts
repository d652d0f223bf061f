import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { type CacheIndex, openCacheIndex } from "../../../../src/cache/records/cache-index.js";
import type { RecordKind } from "../../../../src/cache/records/record-kind.js";

/** A cache directory of its own for each test of a file. */
export interface TestCache {
  readonly dir: string;
  /** Opens its index; `at` sets the clock. */
  open(env?: Readonly<Record<string, string>>, at?: number): CacheIndex;
  /** Where a record is. */
  file(kind: RecordKind, key: string): string;
}

/** Registers a cache directory for every test of the file that calls this. */
export function testCache(): TestCache {
  let dir = "";
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "kiln-index-"));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    get dir() {
      return dir;
    },
    open: (env = {}, at) =>
      openCacheIndex({ cacheDir: dir, env, ...(at === undefined ? {} : { now: () => at }) }),
    file: (kind, key) => join(dir, "index", "v1", kind, key),
  };
}

/** All that an async iterable gives. */
export async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
