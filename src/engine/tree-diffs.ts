import type { CacheIndex } from "../cache/cache-index.js";
import { diffManifests, type ManifestDiff } from "../cache/diff-manifests.js";
import type { TreeManifest } from "../cache/tree-manifest.js";
import { keptManifest } from "./kept-manifests.js";

/** How a tree differs from one that the index has kept. */
export interface KeptDiff extends ManifestDiff {
  /** The tree before. */
  readonly before: () => Promise<TreeManifest | undefined>;
}

interface KnownDiff {
  /** Digest of the tree before. */
  readonly before: string;
  readonly diff: Promise<KeptDiff | undefined>;
}

const known = new WeakMap<TreeManifest, KnownDiff>();

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
  const diff = compare(index, before, after);
  known.set(after, { before, diff });
  return diff;
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
    before: async () => held.deref() ?? keptManifest(index, digest),
  };
}
