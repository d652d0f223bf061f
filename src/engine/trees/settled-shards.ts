import { createHash } from "node:crypto";
import type { CacheIndex } from "../../cache/records/cache-index.js";
import { isRegularMode } from "../../fsutil/file-mode.js";
import type { ManifestEntry } from "../../fsutil/manifest-entry.js";
import type { PackedTree, SettledShard } from "../../layers/pack-tree.js";
import { weightOf } from "../../layers/path-cuts.js";
import type { ShardOptions } from "../../layers/plan-shards.js";
import type { ScannedInput } from "./scan-inputs.js";
import { treeDiff } from "./tree-diffs.js";

interface StoredShards {
  /** Digest of the tree whose shards they are. */
  readonly tree: string;
  /** Which files were volatile. */
  readonly volatile: string;
  readonly shards: readonly SettledShard[];
}

/** What may differ in a volatile file without a difference in what is not volatile. */
const harmless: ReadonlySet<string> = new Set(["content", "mode", "owner", "time", "xattrs"]);

/**
 * The shards of a tree without its volatile files, if they are certainly what they were the last time: nothing has come or
 * gone since, and nothing but volatile files has changed, none by a magnitude.
 */
export async function settledShards(
  index: CacheIndex,
  { key, manifest }: Pick<ScannedInput, "key" | "manifest">,
  options: ShardOptions,
): Promise<readonly SettledShard[] | undefined> {
  const stored = await index.read("volatile", recordKey(key, options));
  if (!isStored(stored) || stored.volatile !== hash([...(options.volatile ?? [])].sort())) return undefined;
  if (stored.tree === manifest.digest) return stored.shards;
  const diff = await treeDiff(index, stored.tree, manifest);
  if (diff === undefined) return undefined;
  const { added, removed, renamed, changed, total } = diff;
  if (added.length + removed.length + renamed.length > 0 || changed.length !== total) return undefined;
  for (const { path, what } of changed) {
    if (options.volatile?.has(path) !== true || !what.every((each) => harmless.has(each))) return undefined;
    if (!isAlike(await diff.entryBefore(path), manifest.entryAt(path))) return undefined;
  }
  return stored.shards;
}

/** Keeps how a tree was cut, for {@link settledShards}. */
export async function keepShards(
  index: CacheIndex,
  { key, manifest }: Pick<ScannedInput, "key" | "manifest">,
  options: ShardOptions,
  packed: PackedTree,
): Promise<void> {
  // Which shard a link is in depends on where its file is.
  if (packed.hasLinks) return;
  const shards = packed.layers.flatMap(({ shardKey, files, volatile }) =>
    volatile ? [] : [{ key: shardKey, files }],
  );
  const stored: StoredShards = {
    ...{ tree: manifest.digest, volatile: hash([...(options.volatile ?? [])].sort()), shards },
  };
  await index.write("volatile", recordKey(key, options), stored);
}

function isAlike(old: ManifestEntry | undefined, young: ManifestEntry | undefined): boolean {
  if (old === undefined || young === undefined) return false;
  return isRegularMode(old.mode) && isRegularMode(young.mode) && weightOf(old) === weightOf(young);
}

function recordKey(key: string, { target, mtime, compression, maxShards }: ShardOptions): string {
  return hash(["shards v1", key, target.prefix, target.makeDirs, mtime, compression, maxShards]);
}

function hash(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function isStored(value: unknown): value is StoredShards {
  if (typeof value !== "object" || value === null) return false;
  const [tree, volatile, shards]: unknown[] = ["tree", "volatile", "shards"].map((key): unknown =>
    Reflect.get(value, key),
  );
  return (
    typeof tree === "string" && typeof volatile === "string" && Array.isArray(shards) && shards.every(isShard)
  );
}

function isShard(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return typeof Reflect.get(value, "key") === "string" && typeof Reflect.get(value, "files") === "number";
}
