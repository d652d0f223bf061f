import { createHash } from "node:crypto";
import { type Digest, isDigest } from "../oci/digest.js";
import { type BlobWriter, ContentConflict, type ContentStore } from "./content-store.js";

/** Blobs above this are taken for layers: no manifest or config is as large, and no smaller blob costs much. */
const layerBytes = 64 * 1024;

/** What {@link manifestStore} keeps of a manifest is at most this. */
const limitBytes = 16 * 1024 * 1024;

/** A store that an image is exported to for its manifest alone. */
export interface ManifestStore extends ContentStore {
  /** Blobs that were received, by digest; those of layers only where they are small. */
  readonly received: ReadonlyMap<string, Buffer>;
  /** What the daemon asked to be there, in order. The last is the image's manifest. */
  readonly noted: readonly Digest[];
}

/**
 * A store in memory that says of every large blob that it is there already, so that the daemon sends none.
 *
 * Exporting an image to it tells its manifest and config, and makes the daemon have its layers as blobs.
 */
export function manifestStore(): ManifestStore {
  const received = new Map<string, Buffer>();
  const noted: Digest[] = [];
  let total = 0;
  return {
    dir: "",
    received,
    noted,
    note: (digest) => void noted.push(digest),
    claims: (_digest, size) => size > layerBytes,
    async info(digest) {
      const size = received.get(digest)?.length;
      return size === undefined ? undefined : { digest, size, modifiedAt: new Date() };
    },
    openBlob: async () => undefined,
    async *list() {},
    async begin() {
      return collect((digest, bytes) => {
        total += bytes.length;
        if (total > limitBytes) throw new ContentConflict("mismatch", "the image has too many small blobs");
        received.set(digest, bytes);
      });
    },
  };
}

function collect(keep: (digest: Digest, bytes: Buffer) => void): BlobWriter {
  let bytes = Buffer.alloc(0);
  let updatedAt = new Date();
  return {
    get offset() {
      return bytes.length;
    },
    startedAt: updatedAt,
    get updatedAt() {
      return updatedAt;
    },
    async write(data, at) {
      if (at === 0) bytes = Buffer.alloc(0);
      if (at !== bytes.length) {
        throw new ContentConflict("offset", `expected data at ${bytes.length}, got it at ${at}`);
      }
      if (at + data.length > limitBytes) throw new ContentConflict("mismatch", "more than was announced");
      bytes = Buffer.concat([bytes, data]);
      updatedAt = new Date();
    },
    async commit(_size, expected) {
      const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      if (!isDigest(digest) || (expected !== undefined && expected !== digest)) {
        throw new ContentConflict("mismatch", `received ${digest}, ${expected} was announced`);
      }
      keep(digest, bytes);
      return digest;
    },
    abort: async () => {},
  };
}
