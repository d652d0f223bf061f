import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { PassThrough } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { openCacheIndex } from "../../src/cache/records/cache-index.js";
import { exportIndex } from "../../src/cache/records/export-index.js";
import { verifyIndex } from "../../src/cache/records/verify-index.js";

/** What a writer said before it was killed. */
interface Acknowledged {
  /** The last number of each record. */
  readonly records: ReadonlyMap<string, number>;
  readonly blobs: readonly string[];
}

/**
 * Runs writers at an index, three at once, kills each at a random point, and checks after every three that nothing that
 * one acknowledged is lost, that all else is whole, and that nothing is left behind. Gives how much was acknowledged, and
 * how many files the killed had under way.
 */
export async function killWriters(
  module: string,
  { cacheDir, kills }: { readonly cacheDir: string; readonly kills: number },
): Promise<{ readonly acknowledged: number; readonly leftovers: number }> {
  let acknowledged = 0;
  let leftovers = 0;
  for (let done = 0; done < kills; done += 3) {
    const names = ["a", "b", "c"].slice(0, kills - done).map((name) => `${name}${done}`);
    const said = await Promise.all(names.map((name) => killOne([module, cacheDir, name])));
    for (const { records, blobs } of said) {
      await checkRecords(cacheDir, records);
      for (const digest of blobs) await checkBlob(cacheDir, digest);
      acknowledged += records.size + blobs.length;
    }
    leftovers += await checkWhole(cacheDir);
  }
  return { acknowledged, leftovers };
}

async function killOne(args: readonly string[]): Promise<Acknowledged> {
  const child: ChildProcessByStdio<null, Readable, null> = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += String(chunk);
  });
  const closed = once(child, "close");
  await Promise.race([once(child.stdout, "data"), closed]);
  await delay(Math.random() * 40);
  child.kill("SIGKILL");
  await closed;
  const records = new Map<string, number>();
  const blobs: string[] = [];
  // Without what follows the last newline.
  for (const line of text.split("\n").slice(0, -1)) {
    const [what, name = "", number] = line.split(" ");
    if (what === "blob") blobs.push(name);
    else records.set(name, Number(number));
  }
  return { records, blobs };
}

async function checkRecords(cacheDir: string, records: Acknowledged["records"]): Promise<void> {
  const index = openCacheIndex({ cacheDir, env: {} });
  for (const [key, number] of records) {
    const value = await index.read("results", key);
    if (typeof value !== "object" || value === null || !("number" in value))
      throw new Error(`${key} is lost`);
    // The last one may have been written, and the writer killed before it said so.
    expect(Number(value.number)).toBeGreaterThanOrEqual(number);
  }
}

async function checkBlob(cacheDir: string, digest: string): Promise<void> {
  const { blobs } = openCacheIndex({ cacheDir, env: {} });
  expect(await blobs.has(digest)).toBe(true);
  const content = readFileSync(blobs.path(digest));
  expect(`sha256:${createHash("sha256").update(content).digest("hex")}`).toBe(digest);
}

async function checkWhole(cacheDir: string): Promise<number> {
  const index = openCacheIndex({ cacheDir, env: {} });
  const { damaged, checked, leftovers } = await verifyIndex(index, { repair: true });
  expect(damaged).toEqual([]);
  expect(checked).toBeGreaterThan(0);
  expect(existsSync(index.places.damaged)).toBe(false);
  expect(readdirSync(index.places.scratch)).toEqual([]);
  const nowhere = new PassThrough().resume();
  expect(await exportIndex(index, nowhere)).toMatchObject({ skipped: 0 });
  return leftovers;
}
