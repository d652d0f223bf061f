import { lstat } from "node:fs/promises";
import { checkFile } from "../internal/file-stamp.js";
import type { FileVersion } from "../internal/file-version.js";
import { digestHex, parseDigest } from "./digest.js";

/** By what a blob's file is known to be whole. */
export interface BlobFileOptions {
  /** Bytes that it must have. Default: as many as it has. */
  readonly size?: number | undefined;
  /** The file's version when its content was what the digest says: the same one is not read. Default: it is read. */
  readonly version?: FileVersion | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether the file at `path` is the blob of that digest, to the byte. Rejects with `ERR_KILN_INVALID_DIGEST` and the
 * signal's reason; whatever else keeps it from being read is no.
 */
export async function isBlobWhole(
  path: string,
  digest: string,
  { size, version, signal }: BlobFileOptions = {},
): Promise<boolean> {
  const sha256 = digestHex(parseDigest(digest));
  let found = size;
  if (found === undefined) {
    try {
      found = (await lstat(path)).size;
    } catch {
      return false;
    }
  }
  return !("problem" in (await checkFile(path, { size: found, sha256, version }, { signal })));
}
