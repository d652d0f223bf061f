import type { Descriptor } from "./descriptor.js";
import { digestHex, parseDigest } from "./digest.js";
import type { ImageIndex } from "./manifest.js";
import { mediaTypes } from "./media-types.js";

/** A blob to be put into a layout. */
export interface LayoutBlob {
  readonly digest: string;
  /** In bytes; `read` gives exactly that many. */
  readonly size: number;
  readonly read: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** A file of a layout, with its path below the layout's root. */
export interface LayoutEntry {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly read: LayoutBlob["read"];
}

/**
 * The files of an OCI layout with these manifests in its index and these blobs, ordered by path; each blob once. Throws
 * `ERR_KILN_INVALID_DIGEST`.
 */
export function layoutEntries(
  manifests: readonly Descriptor[],
  blobs: Iterable<LayoutBlob>,
): readonly LayoutEntry[] {
  const index: ImageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  const byPath = new Map<string, LayoutEntry>();
  for (const { digest, size, read } of blobs) {
    const path = `blobs/sha256/${digestHex(parseDigest(digest))}`;
    byPath.set(path, { path, mode: 0o444, size, read });
  }
  return [
    ...[...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    textEntry("index.json", 0o644, JSON.stringify(index)),
    textEntry("oci-layout", 0o444, JSON.stringify({ imageLayoutVersion: "1.0.0" })),
  ];
}

function textEntry(path: string, mode: number, text: string): LayoutEntry {
  const bytes = Buffer.from(text);
  return { path, mode, size: bytes.length, read: () => [bytes] };
}
