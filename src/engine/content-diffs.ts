import type { CacheIndex } from "../cache/cache-index.js";
import { diffManifests } from "../cache/diff-manifests.js";
import type { StepInput } from "../model/step-input.js";
import type { TreeDiff } from "../model/tree-diff.js";
import { digestHex, isDigest } from "../oci/digest.js";
import { keptManifest } from "./volatile-files.js";

/** How what lies behind two inputs of steps differs, by what the index keeps. */
export function contentDiffs(index: CacheIndex): {
  readonly treeDiff: (before: StepInput, after: StepInput) => Promise<TreeDiff | undefined>;
  readonly fileText: (digest: string) => Promise<string | undefined>;
} {
  const manifest = async (digest: string | undefined) =>
    digest === undefined ? undefined : keptManifest(index, digest);
  return {
    async treeDiff(before, after) {
      const [old, young] = [await manifest(before.stored), await manifest(after.stored)];
      if (old === undefined || young === undefined) return undefined;
      const { added, removed, changed, renamed, total } = await diffManifests(old, young);
      return {
        added,
        removed,
        changed: changed.map(({ path, what }) => ({ path, what: what.join(", ") })),
        renamed,
        differences: total,
        total: young.files,
      };
    },
    async fileText(digest) {
      const found = isDigest(digest) ? await index.read("files", digestHex(digest)) : undefined;
      return typeof found === "string" ? found : undefined;
    },
  };
}
