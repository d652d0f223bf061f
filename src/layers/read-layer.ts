import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
import type { Digest } from "../oci/digest.js";
import { TarFault, TarScanner } from "./tar-scanner.js";

/** How {@link readLayer} reads. */
export interface ReadLayerOptions {
  readonly compression: "gzip" | "zstd" | undefined;
  /** Gets all that is read. */
  readonly copyTo: FileHandle | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What {@link readLayer} found. */
export interface ReadLayer {
  /** Of the bytes as they are. */
  readonly digest: Digest;
  /** Of the tar, uncompressed. */
  readonly diffId: Digest;
  /** Bytes as they are. */
  readonly size: number;
}

/** Hashing one of these takes some milliseconds, during which nothing else happens in the process. */
const chunkBytes = 512 * 1024;

/**
 * Reads a layer once from its beginning: both digests, and whether it is a whole tar. At most a few chunks are in memory.
 *
 * Rejects with {@link TarFault} for what is wrong with the bytes, the signal's reason, or the file system's error.
 */
export async function readLayer(file: FileHandle, options: ReadLayerOptions): Promise<ReadLayer> {
  const { compression, copyTo, signal } = options;
  const packed = createHash("sha256");
  const scanner = new TarScanner();
  let size = 0;
  async function* bytes(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      signal?.throwIfAborted();
      // The reader at the other end may still hold the last one.
      const buffer = Buffer.allocUnsafe(chunkBytes);
      const { bytesRead } = await file.read(buffer, 0, chunkBytes, size);
      if (bytesRead === 0) return;
      const chunk = buffer.subarray(0, bytesRead);
      size += bytesRead;
      packed.update(chunk);
      await copyTo?.writeFile(chunk);
      yield chunk;
    }
  }
  if (compression === undefined) {
    for await (const chunk of bytes()) scanner.push(chunk);
    scanner.end();
    const digest: Digest = `sha256:${packed.digest("hex")}`;
    return { digest, diffId: digest, size };
  }
  const decompressor =
    compression === "gzip" ? zlib.createGunzip({ chunkSize: chunkBytes }) : zstdDecompressor();
  const plain = createHash("sha256");
  try {
    await pipeline(
      Readable.from(bytes(), { objectMode: false }),
      decompressor,
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          plain.update(chunk);
          scanner.push(chunk);
        }
      },
      { ...(signal === undefined ? {} : { signal }) },
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw faultOf(error) ?? error;
  }
  scanner.end();
  if (bytesTaken(decompressor) < size) throw leftOver();
  return { digest: `sha256:${packed.digest("hex")}`, diffId: `sha256:${plain.digest("hex")}`, size };
}

/** Whether Node can unpack zstd: 22.15 and 23.8 have learnt it. */
export function canReadZstd(): boolean {
  return typeof Reflect.get(zlib, "createZstdDecompress") === "function";
}

function zstdDecompressor(): Transform {
  const make: unknown = Reflect.get(zlib, "createZstdDecompress");
  const stream: unknown = typeof make === "function" ? make({ chunkSize: chunkBytes }) : undefined;
  if (stream instanceof Transform) return stream;
  throw new TypeError("this version of Node has no zstd");
}

/** Node leaves alone what follows the last member; who unpacks the layer would stumble over it. */
function leftOver(): TarFault {
  return new TarFault("left-over", "something follows the end of its compressed data");
}

function bytesTaken(stream: object): number {
  const count: unknown = Reflect.get(stream, "bytesWritten");
  return typeof count === "number" ? count : Number.POSITIVE_INFINITY;
}

/** An error of zlib's about the bytes. */
function faultOf(error: unknown): TarFault | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Unpacking ended before what was to be unpacked; nobody else ends the reading (the signal's abort is told before).
  if (code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ABORT_ERR") return leftOver();
  if (code === "Z_BUF_ERROR") return new TarFault("cut-off", "its compressed data ends too early");
  if (code.startsWith("Z_") || code.startsWith("ZSTD_")) {
    return new TarFault("damaged", `its compressed data is damaged (${(error as Error).message})`);
  }
  return undefined;
}
