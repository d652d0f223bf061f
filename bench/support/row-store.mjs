// Keeps what was measured of a long benchmark, so that one that was stopped goes on where it was.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const dist = join(import.meta.dirname, "..", "..", "dist");

/**
 * Results by row id in a file. They count for the build of Kiln that they were measured with, and for `settings`;
 * with another one the store is empty.
 */
export function rowStore(file, settings) {
  const key = createHash("sha256").update(distDigest()).update(JSON.stringify(settings)).digest("hex");
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

function distDigest() {
  const hash = createHash("sha256");
  const names = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith(".js"));
  for (const name of names.sort()) hash.update(name).update(readFileSync(join(dist, name)));
  return hash.digest();
}
