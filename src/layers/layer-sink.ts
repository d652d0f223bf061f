import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Digest } from "../oci/digest.js";
import { DeflateEncoder, deflateWindow } from "./deflate-encoder.js";

/** How a layer's tar is stored. */
export type LayerCompression = "gzip" | "uncompressed";

/** A layer's blob as a whole. */
export interface LayerBlob {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  /** Digest of the tar in it. */
  readonly diffId: Digest;
}

/** The most bytes that {@link LayerSink.room} makes room for. */
export const sinkRoom = 256 * 1024;

/** What is compressed at once: where blocks end must not depend on how the tar came in. */
const chunkBytes = 1024 * 1024;

/** What a sink works with: kept for the next one of the thread, as two of them would be twice the memory. */
interface Workspace {
  readonly buffer: Buffer;
  readonly out: Buffer;
  readonly encoder: DeflateEncoder;
}

let spare: Workspace | undefined;

function takeWorkspace(): Workspace {
  const taken = spare ?? {
    buffer: Buffer.allocUnsafeSlow(deflateWindow + chunkBytes + sinkRoom),
    out: Buffer.allocUnsafeSlow(DeflateEncoder.bound(chunkBytes)),
    encoder: new DeflateEncoder(),
  };
  spare = undefined;
  taken.encoder.reset();
  return taken;
}

/** RFC 1952: deflate, no name, no time, no flags, system unknown. */
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/**
 * Takes a tar, writes it to a file as it is or as gzip, and digests both in the same pass. Synchronous: for
 * worker threads.
 *
 * The bytes depend on the tar's alone: see {@link DeflateEncoder}. Memory is about 3 MiB whatever the size.
 */
export class LayerSink {
  /** What is written goes here, from {@link at}; move that behind it. */
  readonly buffer: Buffer;
  at = 0;
  /** Where in the buffer what is not written yet begins; before it is what matches may refer to. */
  #begin = 0;
  readonly #descriptor: number;
  readonly #workspace = takeWorkspace();
  readonly #encoder: DeflateEncoder | undefined;
  readonly #tarHash = createHash("sha256");
  readonly #blobHash = createHash("sha256");
  #crc = 0;
  #tarBytes = 0;
  #size = 0;

  /** Writes to an open file, which stays the caller's. */
  constructor(descriptor: number, compression: LayerCompression) {
    this.#descriptor = descriptor;
    this.buffer = this.#workspace.buffer;
    if (compression === "uncompressed") return;
    this.#encoder = this.#workspace.encoder;
    this.#emit(gzipHeader);
  }

  /** Makes room for `bytes` behind {@link at}: at most {@link sinkRoom}. */
  room(bytes: number): void {
    if (bytes > sinkRoom) throw new TypeError(`room for ${bytes} bytes`);
    if (this.at - this.#begin > chunkBytes) this.#drain(this.#begin + chunkBytes, false);
  }

  /** Writes bytes that lie elsewhere. */
  write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += sinkRoom) {
      const part = bytes.subarray(from, from + sinkRoom);
      this.room(part.length);
      this.buffer.set(part, this.at);
      this.at += part.length;
    }
  }

  /** Writes what is left, and says what was written. The sink cannot be used any more. */
  finish(): LayerBlob {
    this.room(0);
    this.#drain(this.at, true);
    spare = this.#workspace;
    const diffId: Digest = `sha256:${this.#tarHash.digest("hex")}`;
    if (this.#encoder === undefined) return { digest: diffId, size: this.#size, diffId };
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc, 0);
    trailer.writeUInt32LE(this.#tarBytes % 2 ** 32, 4);
    this.#emit(trailer);
    return { digest: `sha256:${this.#blobHash.digest("hex")}`, size: this.#size, diffId };
  }

  #drain(end: number, last: boolean): void {
    const chunk = this.buffer.subarray(this.#begin, end);
    this.#tarHash.update(chunk);
    this.#tarBytes += chunk.length;
    if (this.#encoder === undefined) {
      this.#emit(chunk);
    } else {
      this.#crc = crc32(chunk, this.#crc);
      const { out } = this.#workspace;
      const written = this.#encoder.encode(this.buffer, this.#begin, end, last, out, 0);
      this.#emit(out.subarray(0, written));
    }
    const kept = Math.min(deflateWindow, end);
    const gone = end - kept;
    this.buffer.copyWithin(0, gone, this.at);
    this.#encoder?.moved(gone);
    this.at -= gone;
    this.#begin = kept;
  }

  #emit(bytes: Uint8Array): void {
    if (this.#encoder !== undefined) this.#blobHash.update(bytes);
    this.#size += bytes.length;
    for (let from = 0; from < bytes.length; ) from += writeSync(this.#descriptor, bytes, from);
  }
}
