import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleModule } from "../unit/internal/bundle-module.js";

let dir: string;
let module: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-young-"));
  module = await bundleModule("../test/processes/growing-process.ts", dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** MiB of the young generation in the end. */
function grown(args: readonly string[], node: readonly string[] = []): number {
  return Number(execFileSync(process.execPath, [...node, module, ...args], { encoding: "utf8" }));
}

test("the young generation stays small, though a thread is started meanwhile, where it would grow", () => {
  expect(grown([])).toBeGreaterThan(16);
  const limited = grown(["limited"]);
  expect(limited).toBeGreaterThanOrEqual(1);
  expect(limited).toBeLessThanOrEqual(16);
});

test("a size that the user gives to Node wins", () => {
  expect(grown(["limited"], ["--max-semi-space-size=16"])).toBeGreaterThan(16);
});
