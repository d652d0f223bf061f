import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { packBatch, resultAt } from "../../src/cache/trees/hash-batch.js";
import { type ScanTreeOptions, scanTree } from "../../src/cache/trees/scan-tree.js";
import type { ScanAnswer, ScanTask } from "../../src/cache/trees/scan-worker.js";
import { StoredTree } from "../../src/cache/trees/stored-tree.js";
import { Verified } from "../../src/cache/trees/verify-tree.js";
import { WorkerPool } from "../../src/internal/worker-pool.js";
import { WorkerThreads } from "../../src/internal/worker-threads.js";
import { later, MemoryStore } from "../unit/cache/trees/memory-store.js";

const FILES = 3000;
/** A thread that runs from sources compiles them first. */
const PATIENTLY = 60_000;
const index = new MemoryStore();
let root = "";

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "kiln-scan-"));
  for (let directory = 0; directory < 50; directory += 1) {
    mkdirSync(join(root, `d${directory}`));
    for (let file = 0; file < FILES / 50; file += 1) {
      writeFileSync(join(root, `d${directory}/f${file}`), `${directory} ${file}`);
    }
  }
  writeFileSync(join(root, "large"), "");
  truncateSync(join(root, "large"), 50_000_000);
}, PATIENTLY);

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Scans, and measures the longest time in which the event loop did not turn, in CPU time of the whole process: no less than its own. */
async function scan(options: Partial<ScanTreeOptions>) {
  let longest = 0;
  let before = process.cpuUsage();
  let turning = true;
  const turns = (): void => {
    const { user, system } = process.cpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
    before = process.cpuUsage();
    if (turning) setImmediate(turns);
  };
  setImmediate(turns);
  try {
    const found = await scanTree({ kind: "dir", root }, { index, key: "k", now: later, ...options });
    return { ...found, longest };
  } finally {
    turning = false;
  }
}

test("a scan in threads finds what one without them finds, first and second time", {
  timeout: PATIENTLY,
}, async () => {
  const alone = await scan({ threads: "off", index: new MemoryStore() });
  const first = await scan({ threads: "always" });
  expect(first).toMatchObject({ filesRead: FILES + 1, bytesRead: alone.bytesRead });
  expect(first.manifest.digest).toBe(alone.manifest.digest);
  const second = await scan({ threads: "always" });
  expect(second).toMatchObject({ filesRead: 0, manifest: { digest: alone.manifest.digest } });
  writeFileSync(join(root, "d7/f7"), "changed");
  expect((await scan({ threads: "always" })).filesRead).toBe(1);
});

test("the event loop turns while thousands of files and a large one are read in this thread", async () => {
  const first = await scan({ threads: "off", index: new MemoryStore() });
  expect(first.filesRead).toBe(FILES + 1);
  // Twenty in a process that runs warm; here the compiler of the tests and its collector are at work too.
  expect(first.longest).toBeLessThan(100);
});

test("the thread's own module reads files and compares directories", { timeout: PATIENTLY }, async () => {
  const one = new WorkerThreads({ size: 1 });
  onTestFinished(() => one.close());
  const entry = new URL("../../src/cache/trees/scan-worker.ts", import.meta.url);
  const threads = new WorkerPool<ScanTask, ScanAnswer>(entry, one);
  const absolute = join(root, "d1/f1");
  const missing = { absolute: `${absolute}-none`, mark: lstatSync(absolute) };
  const answer = await threads.run(packBatch([{ absolute, mark: lstatSync(absolute) }, missing]));
  if (answer === undefined || !("kinds" in answer)) throw new Error("no answer");
  const sha256 = createHash("sha256").update(readFileSync(absolute)).digest("hex");
  expect(resultAt(answer, 0)).toMatchObject({ kind: "hashed", sha256 });
  expect(resultAt(answer, 1)).toEqual({ kind: "gone" });

  const { manifest } = await scan({ threads: "off" });
  const { bytes, shape } = manifest.stored;
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  const next = new Int32Array(new SharedArrayBuffer(8));
  const answers = new Uint8Array(new SharedArrayBuffer(shape.directories));
  const place = { prefix: `${realpathSync(root)}/`, overlay: new Map() };
  rmSync(join(root, "d2/f2"));
  await threads.run({ kind: "verify", memory, shape, place, exclude: [], next, answers });
  const different = [...answers].flatMap((answer, directory) =>
    answer === Verified.SAME ? [] : [new StoredTree(memory, shape).pathOf(directory)],
  );
  // The directory's own time is its parent's to notice.
  expect(different).toEqual(["", "d2"]);
  expect(next[1]).toBe(1);
});

test("the thread's own module sums up a tree where it lies", { timeout: PATIENTLY }, async () => {
  const one = new WorkerThreads({ size: 1 });
  onTestFinished(() => one.close());
  const entry = new URL("../../src/cache/trees/scan-worker.ts", import.meta.url);
  const threads = new WorkerPool<ScanTask, ScanAnswer>(entry, one);
  const { manifest } = await scan({ threads: "off" });
  const { bytes, shape, view } = manifest.stored;
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  const prefix = `${realpathSync(root)}/`;
  const sums = await threads.run({ kind: "sum", memory, shape, view, prefix });
  if (sums === undefined || !("digest" in sums)) throw new Error("no sums");
  const { digest, ...totals } = sums;
  expect(`sha256:${Buffer.from(digest).toString("hex")}`).toBe(manifest.digest);
  expect(totals).toEqual({ count: manifest.count, files: manifest.files, contentBytes: manifest.bytes });
});

test("an abort ends threads that read", { timeout: PATIENTLY }, async () => {
  const stop = new AbortController();
  const options = { index: new MemoryStore(), threads: "always", signal: stop.signal } as const;
  const running = scan(options);
  setTimeout(() => stop.abort(new Error("enough")), 5);
  await expect(running).rejects.toThrow("enough");
});
