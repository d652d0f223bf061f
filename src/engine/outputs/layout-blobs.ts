import { createHash } from "node:crypto";
import type { CacheIndex } from "../../cache/records/cache-index.js";
import type { FileVersion } from "../../internal/file-version.js";
import type { Output } from "../../solver/outputs.js";
import { type OutputStamp, readStamps } from "./output-stamp.js";

/** Versions of files whose content was what their digests say, by digest. */
export type BlobVersions = ReadonlyMap<string, FileVersion>;

/**
 * The blobs that were whole in the OCI layout of a build's outputs when a build last wrote it, so that they need not be
 * read.
 */
export async function knownLayoutBlobs(index: CacheIndex, outputs: readonly Output[]): Promise<BlobVersions> {
  const versions = new Map<string, FileVersion>();
  const output = outputs.find(({ type }) => type === "oci-layout");
  if (output?.type !== "oci-layout") return versions;
  const kept = await index.read("results", keyOf(output.dir));
  for (const stamp of isStamps(kept) ? kept : []) {
    if (stamp.type !== "oci-layout") continue;
    for (const { digest, version } of stamp.layout.blobs) {
      if (version !== undefined) versions.set(digest, version);
    }
  }
  return versions;
}

/** Keeps what {@link knownLayoutBlobs} tells, of outputs that were just written. */
export async function keepLayoutBlobs(index: CacheIndex, stamps: readonly OutputStamp[]): Promise<void> {
  for (const stamp of stamps) {
    if (stamp.type === "oci-layout") await index.write("results", keyOf(stamp.dir), [stamp]);
  }
}

function isStamps(value: unknown): value is readonly OutputStamp[] {
  try {
    return readStamps(value).length > 0;
  } catch {
    return false;
  }
}

function keyOf(dir: string): string {
  return createHash("sha256")
    .update(JSON.stringify(["layout blobs v1", dir]))
    .digest("hex");
}
