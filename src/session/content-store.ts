import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FileVersion } from "../internal/file-version.js";
import { processMark } from "../internal/process-mark.js";
import { randomId } from "../internal/random-id.js";
import { isBlobWhole } from "../oci/blob-file.js";
import { type Digest, digestHex, isDigest } from "../oci/digest.js";
import { copyBlob } from "../oci/layout-writer.js";

/** A blob in a store. */
export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly modifiedAt: Date;
}

/** Why a write was refused. */
export class ContentConflict extends Error {
  readonly reason: "exists" | "offset" | "mismatch";

  constructor(reason: ContentConflict["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A blob being received: nothing of it is visible before `commit`. */
export interface BlobWriter {
  /** Bytes received so far. */
  readonly offset: number;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  /** Appends at `offset`, which must be the current one (0 after a reset truncates). */
  write(data: Uint8Array, offset: number): Promise<void>;
  /** Checks size and digest and makes the blob visible; throws {@link ContentConflict} and keeps nothing otherwise. */
  commit(expectedSize: number, expected: Digest | undefined): Promise<Digest>;
  abort(): Promise<void>;
}

/** Blobs of an OCI layout directory, as the session's content service shows them to the daemon. */
export interface ContentStore {
  readonly dir: string;
  /** Size and time of a blob; `undefined` if there is none. */
  info(digest: Digest): Promise<StoredBlob | undefined>;
  /** Opens a blob's file for reading; `undefined` if there is none. The caller closes it. */
  openBlob(digest: Digest): Promise<FileHandle | undefined>;
  list(): AsyncIterable<StoredBlob>;
  /** Starts receiving a blob; `undefined` for a store that is only read. */
  begin?(): Promise<BlobWriter>;
  /** Notes that the daemon wants this blob to be in the store, whether or not it has to send it. */
  note?(digest: Digest): void;
  /** Whether a blob that is there in its size is whole, so that it need not be sent. Default yes. */
  isWhole?(digest: Digest, size: number): Promise<boolean>;
  /** Gets a blob that is not there from elsewhere on this machine, so that it need not be sent; whether it could. */
  takeOver?(digest: Digest): Promise<boolean>;
  /** Whether a blob of this size counts as being there though it is not: the daemon then does not send it. */
  claims?(digest: Digest, size: number): boolean;
}

/** The blobs of an OCI layout, to be read. Its index is not looked at: the daemon asks by digest. */
export function layoutStore(dir: string): ContentStore {
  const blobs = join(dir, "blobs", "sha256");
  const path = (digest: Digest): string => join(blobs, digestHex(digest));
  return {
    dir,
    async info(digest) {
      try {
        const found = await stat(path(digest));
        return found.isFile() ? { digest, size: found.size, modifiedAt: found.mtime } : undefined;
      } catch (error) {
        return absent(error);
      }
    },
    async openBlob(digest) {
      try {
        return await open(path(digest), "r");
      } catch (error) {
        return absent(error);
      }
    },
    async *list() {
      const names = await readdir(blobs).catch(() => []);
      for (const name of names) {
        const digest = `sha256:${name}`;
        const found = isDigest(digest) ? await this.info(digest) : undefined;
        if (found !== undefined) yield found;
      }
    },
  };
}

/** A layout's blobs with room for more. `noted` lists the digests that the daemon asked to be there, in order. */
export interface WritableContentStore extends ContentStore {
  begin(): Promise<BlobWriter>;
  note(digest: Digest): void;
  readonly noted: readonly Digest[];
}

/** Options of {@link writableLayoutStore}. */
export interface WritableLayoutOptions {
  /**
   * Versions of files that are known to be whole blobs, by digest: others that are there are read before they count.
   * Default: what has the right size counts.
   */
  readonly versions?: ReadonlyMap<string, FileVersion> | undefined;
  /** A file elsewhere that is that blob, whole, which is then copied in place of being received. Default: there is none. */
  readonly blobAt?: ((digest: Digest) => Promise<string | undefined>) | undefined;
}

/**
 * The blobs of an OCI layout, to be read and added to.
 *
 * A blob is received into `ingest/` beside the blobs and renamed when its digest is right, so that a
 * layout never holds a half-written blob under its name. One that is there but damaged is received anew.
 */
export function writableLayoutStore(
  dir: string,
  { versions, blobAt }: WritableLayoutOptions = {},
): WritableContentStore {
  const readable = layoutStore(dir);
  const noted: Digest[] = [];
  return {
    ...readable,
    noted,
    ...(versions === undefined
      ? {}
      : {
          isWhole: (digest: Digest, size: number) =>
            isBlobWhole(join(dir, "blobs", "sha256", digestHex(digest)), digest, {
              ...{ size, version: versions.get(digest) },
            }),
        }),
    note: (digest) => {
      noted.push(digest);
    },
    async takeOver(digest) {
      try {
        const from = await blobAt?.(digest);
        if (from !== undefined) await copyBlob(dir, digest, from);
        return from !== undefined;
      } catch {
        // It may be gone meanwhile. Where nothing can be written, receiving it says so.
        return false;
      }
    },
    async begin() {
      const ingest = join(dir, "ingest");
      await mkdir(join(dir, "blobs", "sha256"), { recursive: true });
      const temporary = join(ingest, `${processMark()}.${randomId()}`);
      return createWriter(temporary, await openNew(temporary), (digest) =>
        join(dir, "blobs", "sha256", digestHex(digest)),
      );
    },
  };
}

/** Opens a new file; makes its directory, which who finishes the layout removes when it is empty. */
async function openNew(path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    await mkdir(dirname(path), { recursive: true });
    try {
      return await open(path, "wx");
    } catch (error) {
      if (attempt === 3) throw error;
      absent(error);
    }
  }
}

function createWriter(temporary: string, file: FileHandle, pathOf: (digest: Digest) => string): BlobWriter {
  let offset = 0;
  let hash: Hash = createHash("sha256");
  let closed = false;
  let updatedAt = new Date();
  const discard = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await file.close();
    await rm(temporary, { force: true });
  };
  return {
    get offset() {
      return offset;
    },
    startedAt: updatedAt,
    get updatedAt() {
      return updatedAt;
    },
    async write(data, at) {
      if (at === 0 && offset > 0) {
        await file.truncate(0);
        hash = createHash("sha256");
        offset = 0;
      }
      if (at !== offset) throw new ContentConflict("offset", `expected data at ${offset}, got it at ${at}`);
      hash.update(data);
      for (let done = 0; done < data.length; ) {
        const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
        done += bytesWritten;
      }
      offset += data.length;
      updatedAt = new Date();
    },
    async commit(expectedSize, expected) {
      const digest: Digest = `sha256:${hash.digest("hex")}`;
      if (expectedSize > 0 && expectedSize !== offset) {
        await discard();
        throw new ContentConflict("mismatch", `received ${offset} bytes, ${expectedSize} were announced`);
      }
      if (expected !== undefined && expected !== digest) {
        await discard();
        throw new ContentConflict("mismatch", `received ${digest}, ${expected} was announced`);
      }
      closed = true;
      await file.close();
      await rename(temporary, pathOf(digest));
      return digest;
    },
    abort: discard,
  };
}

function absent(error: unknown): undefined {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  throw error;
}
