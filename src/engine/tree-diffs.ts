import { diffManifests, type ManifestDiff } from "../cache/diff-manifests.js";
import type { TreeManifest } from "../cache/tree-manifest.js";

interface KnownDiff {
  /** Digest of the tree before. */
  readonly before: string;
  readonly diff: Promise<ManifestDiff>;
}

const known = new WeakMap<TreeManifest, KnownDiff>();

/** How a tree differs from the one before: compared once, for all that want to know it of one build. */
export function treeDiff(before: TreeManifest, after: TreeManifest): Promise<ManifestDiff> {
  const found = known.get(after);
  if (found?.before === before.digest) return found.diff;
  const diff = diffManifests(before, after);
  known.set(after, { before: before.digest, diff });
  return diff;
}
