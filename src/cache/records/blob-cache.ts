import { lstatSync, type Stats, utimesSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KilnError } from "../../errors.js";
import { isMissing } from "../../fsutil/file-errors.js";
import { digestHex, parseDigest } from "../../oci/digest.js";

/** Content-addressed files beside the records, e.g. layers of local trees. */
export interface BlobCache {
  /** Where the blob is, if it is there. Throws `ERR_KILN_INVALID_DIGEST`. */
  path(digest: string): string;
  /**
   * Whether the blob is there. It then stays for an hour at least, so that a build can go on with {@link path}. Its
   * content is the caller's to check where that matters. Throws `ERR_KILN_INVALID_DIGEST`.
   */
  has(digest: string): Promise<boolean>;
  /**
   * A name for a new file, in a directory that is there, on the same file system. What its process leaves there is
   * removed once the process is no more. Rejects with `ERR_KILN_OUTPUT_UNWRITABLE` where nothing can be written, also
   * when the index is off.
   */
  scratch(): Promise<string>;
  /**
   * Makes a finished file of {@link scratch} the blob of that digest, which the caller has computed. From then on it
   * survives a kill of the process. Rejects as {@link scratch} does; the file then is where it was.
   */
  keep(scratchFile: string, digest: string): Promise<void>;
}

/** What {@link blobCache} works with. */
export interface BlobCacheOptions {
  /** The blobs' directory. */
  readonly dir: string;
  readonly enabled: boolean;
  readonly now: () => number;
  /** Names a new file in a directory that is there. Rejects with the file system's error. */
  readonly scratch: () => Promise<string>;
  /** Notes a failed write, and gives the error to reject with. */
  readonly unwritable: (error: unknown) => KilnError;
}

/** For so long a blob stays after it was used, whatever the bounds. */
export const blobGraceMs = 3_600_000;

/** Marked as used well within that time, though not at every use. */
const touchAfterMs = 300_000;

/** The blobs of an index. */
export function blobCache({ dir, enabled, now, scratch, unwritable }: BlobCacheOptions): BlobCache {
  const path = (digest: string): string => join(dir, digestHex(parseDigest(digest)));
  return {
    path,
    has: async (digest) => {
      const file = path(digest);
      return enabled && isThere(file, now());
    },
    scratch: async () => {
      if (!enabled) throw turnedOff();
      try {
        return await scratch();
      } catch (error) {
        throw unwritable(error);
      }
    },
    keep: async (scratchFile, digest) => {
      const file = path(digest);
      if (!enabled) throw turnedOff();
      try {
        try {
          await rename(scratchFile, file);
        } catch (error) {
          if (!isMissing(error)) throw error;
          await mkdir(dirname(file), { recursive: true });
          await rename(scratchFile, file);
        }
      } catch (error) {
        throw unwritable(error);
      }
    },
  };
}

function turnedOff(): KilnError {
  return new KilnError(
    "ERR_KILN_OUTPUT_UNWRITABLE",
    "there is no place for blobs: KILN_CACHE turns the cache off",
    {
      hint: "Unset KILN_CACHE.",
    },
  );
}

function isThere(file: string, now: number): boolean {
  let found: Stats;
  try {
    found = lstatSync(file);
  } catch {
    return false;
  }
  if (!found.isFile() || found.size === 0) return false;
  if (Math.abs(now - found.mtimeMs) < touchAfterMs) return true;
  try {
    utimesSync(file, now / 1000, now / 1000);
  } catch (error) {
    // Gone since. Where nothing can be written it cannot be marked, nor removed.
    return !isMissing(error);
  }
  return true;
}
