// Keeps what was measured of a long benchmark, so that one that was stopped goes on where it was.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/**
 * Results by row id in a file. They count for the build of Kiln that they were measured with, and for `settings`;
 * with another one the store is empty.
 */
export function rowStore(file, settings) {
  const key = createHash("sha256").update(sourcesDigest()).update(JSON.stringify(settings)).digest("hex");
  const former = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const rows = former.key === key ? former.rows : {};
  return {
    get: (id) => rows[id],
    set(id, result) {
      rows[id] = result;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(`${file}.part`, JSON.stringify({ key, settings, rows }, undefined, 2));
      renameSync(`${file}.part`, file);
    },
    clear: () => rmSync(file, { force: true }),
  };
}

/** Of what the package is built from: two builds of the same sources differ in names of scratch folders. */
function sourcesDigest() {
  const hash = createHash("sha256");
  const sources = readdirSync(join(root, "src"), { recursive: true }).filter((name) => name.endsWith(".ts"));
  const files = [...sources.map((name) => join("src", name)), "scripts/build.mjs", "package-lock.json"];
  for (const name of files.sort()) hash.update(name).update(readFileSync(join(root, name)));
  return hash.digest();
}
