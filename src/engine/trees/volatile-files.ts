import { createHash } from "node:crypto";
import type { CacheIndex } from "../../cache/records/cache-index.js";
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
  const changes = last === undefined ? undefined : await treeDiff(index, last, manifest);
  const changed =
    changes === undefined || changes.total > changesLimit
      ? []
      : [
          ...changes.changed.map(({ path }) => path),
          ...changes.added,
          ...changes.renamed.map(({ to }) => to),
        ];
  const all = [...new Set([...paths, ...changed])].slice(-volatileLimit);
  await index.write("volatile", record, { paths: all, last: manifest.digest });
  return new Set(all);
}

function isVolatile(
  value: unknown,
): value is { readonly paths: readonly string[]; readonly last: string | undefined } {
  if (typeof value !== "object" || value === null) return false;
  const [paths, last]: unknown[] = [Reflect.get(value, "paths"), Reflect.get(value, "last")];
  const isText = (one: unknown): boolean => typeof one === "string";
  return Array.isArray(paths) && paths.every(isText) && (last === undefined || isText(last));
}
