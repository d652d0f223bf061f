import { type FileHandle, open, stat } from "node:fs/promises";
import type { BlobCache } from "../../cache/records/blob-cache.js";
import { isMissing } from "../../fsutil/file-errors.js";
import { isBlobWhole } from "../../oci/blob-file.js";
import type { Digest } from "../../oci/digest.js";
import type { ContentStore } from "../../session/content-store.js";

/** What {@link blobStore} tells and asks. */
export interface BlobStoreOptions {
  /** Makes a blob again that is no longer there; resolves with whether it could. */
  readonly remake: (digest: Digest) => Promise<boolean>;
  /** Somebody wants a blob that is not there. */
  readonly onMissing: (digest: Digest) => void;
  /** A blob of so many bytes was opened to be sent. */
  readonly onSent: (bytes: number) => void;
}

/** The blobs of the index, to be read by the daemon. One that is damaged is made again before it is sent. */
export function blobStore(blobs: BlobCache, options: BlobStoreOptions): ContentStore {
  const whole = new Set<string>();
  const find = async (
    digest: Digest,
  ): Promise<{ readonly path: string; readonly size: number } | undefined> => {
    const path = blobs.path(digest);
    for (const last of [false, true]) {
      try {
        return { path, size: (await stat(path)).size };
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      if (last || !(await options.remake(digest))) break;
    }
    options.onMissing(digest);
    return undefined;
  };
  return {
    dir: "",
    async info(digest) {
      const found = await find(digest);
      return found === undefined ? undefined : { digest, size: found.size, modifiedAt: new Date(0) };
    },
    async openBlob(digest): Promise<FileHandle | undefined> {
      let found = await find(digest);
      if (found !== undefined && !whole.has(digest)) {
        if (!(await isBlobWhole(found.path, digest))) {
          found = (await options.remake(digest)) ? await find(digest) : undefined;
        }
        whole.add(digest);
      }
      if (found === undefined) return undefined;
      options.onSent(found.size);
      return open(found.path, "r");
    },
    async *list() {},
  };
}
