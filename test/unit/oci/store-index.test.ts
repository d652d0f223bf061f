import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createStore, readStoreIndex } from "../../../src/oci/store-index.js";

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "kiln-store-index-"));
});
afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

it("is not taken for another's directory while the store is being made", async () => {
  for (let round = 0; round < 200; round += 1) {
    const dir = join(top, String(round));
    mkdirSync(dir);
    let made = false;
    const reader = async (): Promise<void> => {
      while (!made) await readStoreIndex(dir);
    };
    const readers = [reader(), reader()];
    await createStore(dir);
    made = true;
    await Promise.all(readers);
    expect(await readStoreIndex(dir)).toMatchObject({ manifests: [] });
  }
});
