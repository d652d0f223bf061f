import type { CacheIndex } from "../../cache/records/cache-index.js";
import type { TreeManifest } from "../../cache/trees/tree-manifest.js";
import { maskText } from "../../image/lint/find-secrets.js";
import type { StepInput } from "../../model/step-input.js";
import type { TreeDiff } from "../../model/tree-diff.js";
import { digestHex, isDigest, sha256 } from "../../oci/digest.js";
import { keptManifest } from "./kept-manifests.js";
import { treeDiff } from "./tree-diffs.js";

/** Contents that a build has at hand, which the index may not keep yet. */
export interface OwnContents {
  readonly manifests: readonly TreeManifest[];
  readonly files: readonly Uint8Array[];
}

/** Small files whose text is kept, so that a change of them can be told line by line. */
const textLimit = 64 * 1024;

/** How what lies behind two inputs of steps differs, by what the index keeps and by `own`. */
export function contentDiffs(
  index: CacheIndex,
  own: OwnContents = { manifests: [], files: [] },
): {
  readonly treeDiff: (before: StepInput, after: StepInput) => Promise<TreeDiff | undefined>;
  readonly fileText: (digest: string) => Promise<string | undefined>;
} {
  const manifests = new Map<string, TreeManifest>(own.manifests.map((each) => [each.digest, each]));
  const manifest = async (digest: string | undefined) =>
    digest === undefined ? undefined : (manifests.get(digest) ?? keptManifest(index, digest));
  return {
    async treeDiff(before, after) {
      if (before.stored === undefined) return undefined;
      const young = await manifest(after.stored);
      if (young === undefined) return undefined;
      const diff = await treeDiff(index, before.stored, young);
      if (diff === undefined) return undefined;
      const { added, removed, changed, renamed, total } = diff;
      return {
        added,
        removed,
        // With its content a file's time changes.
        changed: changed.map(({ path, what }) => ({
          path,
          what: what.filter((each) => each !== "time" || !what.includes("content")).join(", "),
        })),
        renamed,
        differences: total,
        total: young.files,
      };
    },
    async fileText(digest) {
      const bytes = own.files.find((content) => sha256(content) === digest);
      if (bytes !== undefined) return tellableText(bytes);
      const found = isDigest(digest) ? await index.read("files", digestHex(digest)) : undefined;
      return typeof found === "string" ? found : undefined;
    },
  };
}

/** The text of a file as it may be told: what looks like a secret masked; `undefined` for a file that is too large. */
export function tellableText(bytes: Uint8Array): string | undefined {
  return bytes.length > textLimit ? undefined : maskText(Buffer.from(bytes).toString("utf8"));
}
