import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCacheIndex } from "../../src/cache/records/cache-index.js";
import { pruneIndex } from "../../src/cache/records/prune-index.js";
import { verifyIndex } from "../../src/cache/records/verify-index.js";
import { bundleModule } from "../unit/internal/bundle-module.js";
import { killWriters } from "./killed-writers.js";

let dir: string;
let module: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-kill-"));
  module = await bundleModule("../test/processes/writer-process.ts", dir);
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

it("ten writers that are killed, three at once, lose nothing that they acknowledged", async () => {
  const { acknowledged } = await killWriters(module, { cacheDir: join(dir, "killed"), kills: 10 });
  expect(acknowledged).toBeGreaterThan(10);
});

it("several processes write, prune and verify one index at once, and no record is ever found damaged", async () => {
  const cacheDir = join(dir, "shared");
  const writers = ["a", "b"].map((name) =>
    spawn(process.execPath, [module, cacheDir, name], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  try {
    await Promise.all(writers.map((writer) => once(writer.stdout, "data")));
    for (const writer of writers) writer.stdout.resume();
    for (let turn = 0; turn < 10; turn += 1) {
      const index = openCacheIndex({ cacheDir, env: {} });
      expect((await verifyIndex(index)).damaged).toEqual([]);
      await pruneIndex(index, { maxBytes: 0 });
      for (let again = 0; again < 20; again += 1) {
        const value = await index.read("results", "shared");
        if (value !== undefined) expect(value).toMatchObject({ key: "shared" });
      }
      expect(index.problems).toEqual([]);
    }
    expect(writers.map(({ exitCode }) => exitCode)).toEqual([null, null]);
  } finally {
    for (const writer of writers) {
      writer.kill("SIGKILL");
      await once(writer, "close");
    }
  }
});
