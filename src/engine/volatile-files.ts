import { createHash } from "node:crypto";
import type { CacheIndex } from "../cache/cache-index.js";

/** Files of a tree that are known to change, at most. */
const volatileLimit = 2_000;

/**
 * The files of a tree that changed between builds: they come last in its layers, so that the next change of them costs
 * little.
 */
export async function readVolatile(index: CacheIndex, key: string): Promise<ReadonlySet<string>> {
  const found = await index.read("volatile", keyOf(key));
  const paths = typeof found === "object" && found !== null ? Reflect.get(found, "paths") : undefined;
  return new Set(Array.isArray(paths) ? paths.filter((path) => typeof path === "string") : []);
}

/** Adds files that have changed; the latest are kept where they become too many. */
export async function noteVolatile(
  index: CacheIndex,
  key: string,
  changed: readonly string[],
): Promise<void> {
  // A tree that is another one altogether says nothing about which of its files change.
  if (changed.length === 0 || changed.length > volatileLimit / 4) return;
  const known = await readVolatile(index, key);
  const paths = [...new Set([...known, ...changed])];
  if (paths.length === known.size) return;
  await index.write("volatile", keyOf(key), { paths: paths.slice(-volatileLimit) });
}

function keyOf(key: string): string {
  return createHash("sha256")
    .update(JSON.stringify(["volatile v1", key]))
    .digest("hex");
}
