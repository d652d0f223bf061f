import type { CacheIndex } from "../../cache/records/cache-index.js";
import { diffManifests, type ManifestDiff } from "../../cache/trees/diff-manifests.js";
import type { SinceLastScan } from "../../cache/trees/patch-tree.js";
import type { TreeManifest } from "../../cache/trees/tree-manifest.js";
import type { ManifestEntry } from "../../fsutil/manifest-entry.js";
import { keptManifest } from "./kept-manifests.js";

/** How a tree differs from one that the index has kept. */
export interface KeptDiff extends ManifestDiff {
  /** A path in the tree before; `undefined` if there was none, or if it was a further hard link. */
  readonly entryBefore: (path: string) => Promise<ManifestEntry | undefined>;
}

interface KnownDiff {
  /** Digest of the tree before. */
  readonly before: string;
  readonly diff: Promise<KeptDiff | undefined>;
}

const known = new WeakMap<TreeManifest, KnownDiff>();
const scanned = new WeakMap<TreeManifest, SinceLastScan>();

/** Takes in what a scan has found to be different: then that needs no comparison. */
export function learnDiff(after: TreeManifest, since: SinceLastScan): void {
  scanned.set(after, since);
}

/**
 * How a tree differs from the one before, by that one's digest: read and compared once, for all that want to know it of one
 * build. `undefined` if the index has not kept it.
 */
export function treeDiff(
  index: CacheIndex,
  before: string,
  after: TreeManifest,
): Promise<KeptDiff | undefined> {
  const found = known.get(after);
  if (found?.before === before) return found.diff;
  const since = scanned.get(after);
  const diff = since?.digest === before ? Promise.resolve(diffOfScan(since)) : compare(index, before, after);
  known.set(after, { before, diff });
  return diff;
}

function diffOfScan({ changed, entryBefore }: SinceLastScan): KeptDiff {
  return {
    ...{ added: [], removed: [], renamed: [], changed, total: changed.length },
    entryBefore: async (path) => entryBefore(path),
  };
}

async function compare(
  index: CacheIndex,
  digest: string,
  after: TreeManifest,
): Promise<KeptDiff | undefined> {
  const before = await keptManifest(index, digest);
  if (before === undefined) return undefined;
  // A large tree is not held for those who may ask once more.
  const held = new WeakRef(before);
  return {
    ...(await diffManifests(before, after)),
    entryBefore: async (path) => (held.deref() ?? (await keptManifest(index, digest)))?.entryAt(path),
  };
}
