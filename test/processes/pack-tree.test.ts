import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Kept, pack, variedTree } from "../unit/layers/packing.js";
import { scanEntries } from "../unit/layers/scan-entries.js";

test("threads pack the same layers; a failure or an abort ends them, and leaves no scratch file", async () => {
  const root = variedTree(1200);
  const entries = scanEntries(root);
  const [here, there] = [new Kept(), new Kept()];
  const options = { entries: () => entries, volatile: new Set(["z-large"]) };
  const packed = await pack(root, here, options);
  const byThreads = await pack(root, there, { ...options, threads: true });
  expect(byThreads.layers).toEqual(packed.layers);
  expect(there.files()).toEqual(here.files());

  const aborted = new Kept();
  const stop = new AbortController();
  const onProgress = (): void => stop.abort(new Error("enough"));
  const packing = pack(root, aborted, { ...options, threads: true, signal: stop.signal, onProgress });
  await expect(packing).rejects.toThrow("enough");
  expect(aborted.files().filter((name) => name.startsWith("scratch"))).toEqual([]);

  appendFileSync(join(root, "many/0/1.txt"), "x");
  const failed = new Kept();
  await expect(pack(root, failed, { ...options, threads: true })).rejects.toMatchObject({
    name: "KilnError",
    code: "ERR_KILN_FILE_CHANGED",
    message: expect.stringContaining("many/0/1.txt") as string,
  });
  expect(failed.files().filter((name) => name.startsWith("scratch"))).toEqual([]);
  expect(failed.known.size).toBe(failed.files().length);
}, 60_000);
