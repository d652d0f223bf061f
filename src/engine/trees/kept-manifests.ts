import type { CacheIndex } from "../../cache/records/cache-index.js";
import { decodeManifest, encodeManifest, type TreeManifest } from "../../cache/trees/tree-manifest.js";
import { digestHex, isDigest } from "../../oci/digest.js";

/** A tree's manifest by its digest, if the index has kept it. */
export async function keptManifest(index: CacheIndex, digest: string): Promise<TreeManifest | undefined> {
  const bytes = isDigest(digest) ? await index.readBytes("trees", digestHex(digest)) : undefined;
  return bytes === undefined ? undefined : decodeManifest(bytes);
}

/** Keeps a tree's manifest by its digest, for comparisons. */
export async function keepManifest(index: CacheIndex, manifest: TreeManifest): Promise<void> {
  const key = digestHex(manifest.digest);
  if (!(await index.has("trees", key))) await index.writeBytes("trees", key, encodeManifest(manifest));
}
