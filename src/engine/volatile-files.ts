import { createHash } from "node:crypto";
import type { CacheIndex } from "../cache/cache-index.js";
import { decodeManifest, encodeManifest, type TreeManifest } from "../cache/tree-manifest.js";
import { digestHex, isDigest } from "../oci/digest.js";
import type { ScannedInput } from "./scan-inputs.js";
import { treeDiff } from "./tree-diffs.js";

/** Files of a tree that are known to change, at most. */
const volatileLimit = 2_000;

/** Where more files changed at once, it is another tree: that says nothing about which of its files change. */
const changesLimit = 200;

/**
 * The files of a tree that changed from one build to another, this one included: they come last in its layers, so that the
 * next change of them costs little.
 */
export async function volatileFiles(
  index: CacheIndex,
  { key, manifest }: Pick<ScannedInput, "key" | "manifest">,
): Promise<ReadonlySet<string>> {
  const record = createHash("sha256")
    .update(JSON.stringify(["volatile v1", key]))
    .digest("hex");
  const known = await index.read("volatile", record);
  const { paths, last } = isVolatile(known) ? known : { paths: [], last: undefined };
  if (last === manifest.digest) return new Set(paths);
  const before = last === undefined ? undefined : await keptManifest(index, last);
  const changes = before === undefined ? undefined : await treeDiff(before, manifest);
  const changed =
    changes === undefined || changes.total > changesLimit
      ? []
      : [
          ...changes.changed.map(({ path }) => path),
          ...changes.added,
          ...changes.renamed.map(({ to }) => to),
        ];
  const all = [...new Set([...paths, ...changed])].slice(-volatileLimit);
  await keepManifest(index, manifest);
  await index.write("volatile", record, { paths: all, last: manifest.digest });
  return new Set(all);
}

/** A tree's manifest by its digest, if the index has kept it. */
export async function keptManifest(index: CacheIndex, digest: string): Promise<TreeManifest | undefined> {
  const bytes = isDigest(digest) ? await index.readBytes("trees", digestHex(digest)) : undefined;
  return bytes === undefined ? undefined : decodeManifest(bytes);
}

/** Keeps a tree's manifest by its digest, for comparisons. */
export async function keepManifest(index: CacheIndex, manifest: TreeManifest): Promise<void> {
  const key = digestHex(manifest.digest);
  if ((await index.readBytes("trees", key)) === undefined) {
    await index.writeBytes("trees", key, encodeManifest(manifest));
  }
}

function isVolatile(
  value: unknown,
): value is { readonly paths: readonly string[]; readonly last: string | undefined } {
  if (typeof value !== "object" || value === null) return false;
  const [paths, last]: unknown[] = [Reflect.get(value, "paths"), Reflect.get(value, "last")];
  const isText = (one: unknown): boolean => typeof one === "string";
  return Array.isArray(paths) && paths.every(isText) && (last === undefined || isText(last));
}
