import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, renameSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isBlobWhole } from "../../../src/oci/blob-file.js";
import { temporaryDirectory } from "../fsutil/temporary-tree.js";

function blob(bytes = randomBytes(2 * 1024 * 1024)) {
  const directory = temporaryDirectory();
  const path = join(directory, "blob");
  writeFileSync(path, bytes);
  return { directory, path, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, bytes };
}

/** Puts a copy in the file's place each time that the event loop turns, `times` times at most. */
function replaceAgainAndAgain({ path }: { readonly path: string }, times: number) {
  let done = 0;
  let stopped = false;
  const replace = (): void => {
    if (stopped || done >= times) return;
    done += 1;
    copyFileSync(path, `${path}.other`);
    renameSync(`${path}.other`, path);
    setImmediate(replace);
  };
  setImmediate(replace);
  return {
    stop: (): number => {
      stopped = true;
      return done;
    },
  };
}

test("a blob is whole as its digest says", async () => {
  const { path, digest, bytes } = blob();
  expect(await isBlobWhole(path, digest)).toBe(true);
  expect(await isBlobWhole(path, digest, { size: bytes.length })).toBe(true);
  expect(await isBlobWhole(path, digest, { size: bytes.length + 1 })).toBe(false);
});

test.each<[string, (of: ReturnType<typeof blob>) => void]>([
  ["one byte shorter", ({ path, bytes }) => truncateSync(path, bytes.length - 1)],
  ["another one", ({ path, bytes }) => writeFileSync(path, randomBytes(bytes.length))],
  ["gone", ({ path }) => renameSync(path, `${path}.away`)],
  [
    "a link to it",
    ({ path }) => {
      renameSync(path, `${path}.away`);
      symlinkSync(`${path}.away`, path);
    },
  ],
])("a blob is not whole that is %s", async (_, edit) => {
  const made = blob();
  edit(made);
  expect(await isBlobWhole(made.path, made.digest)).toBe(false);
});

test("a blob is whole though another writer puts the same one in its place while it is read", async () => {
  const made = blob();
  const writer = replaceAgainAndAgain(made, 2);
  expect(await isBlobWhole(made.path, made.digest)).toBe(true);
  expect(writer.stop()).toBe(2);
});

test("a blob that never holds still is not waited for", async () => {
  const made = blob();
  const writer = replaceAgainAndAgain(made, Infinity);
  expect(await isBlobWhole(made.path, made.digest)).toBe(false);
  expect(writer.stop()).toBeGreaterThan(2);
});
