import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { killWriters } from "../processes/killed-writers.js";
import { bundleModule } from "../unit/internal/bundle-module.js";

let dir: string;
let module: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-kill-"));
  module = await bundleModule("../test/processes/writer-process.ts", dir);
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

it("two hundred writers that are killed, three at once, lose nothing that they acknowledged", async () => {
  const { acknowledged, leftovers } = await killWriters(module, { cacheDir: join(dir, "cache"), kills: 200 });
  expect(acknowledged).toBeGreaterThan(200);
  // Some were killed in the middle of a file.
  expect(leftovers).toBeGreaterThan(0);
});
