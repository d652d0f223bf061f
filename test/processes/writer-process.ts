import { createHash } from "node:crypto";
import { writeFileSync, writeSync } from "node:fs";
import { openCacheIndex } from "../../src/cache/records/cache-index.js";

/**
 * A process that writes records and blobs without an end. Each line on standard output acknowledges one that is written:
 * `record KEY NUMBER` or `blob DIGEST`.
 *
 * Arguments: cache directory, name of the writer. It writes three records of its own in turn, and now and then one that
 * all writers write.
 */
const [cacheDir = "", name = ""] = process.argv.slice(2);
const index = openCacheIndex({ cacheDir, env: {} });
for (let number = 1; ; number += 1) {
  const key = `${name}-${number % 3}`;
  await index.write("results", key, contentOf(key, number));
  say(`record ${key} ${number}`);
  await index.write("results", "shared", contentOf("shared", number));
  if (number % 4 !== 0) continue;
  const content = `${name} ${number} `.repeat(2000);
  const scratch = await index.blobs.scratch();
  writeFileSync(scratch, content);
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  await index.blobs.keep(scratch, digest);
  say(`blob ${digest}`);
}

function contentOf(key: string, number: number): unknown {
  return { key, number, filling: `${key}/${number};`.repeat(number % 7 === 0 ? 10_000 : 50) };
}

// At once: what is buffered in this process would be lost with it, though the record was not.
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
