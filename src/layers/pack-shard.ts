import { createHash, hash } from "node:crypto";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { KilnError, type KilnErrorCode } from "../errors.js";
import { systemErrorCode } from "../fsutil/file-errors.js";
import { type LayerBlob, LayerSink, sinkRoom } from "./layer-sink.js";
import { type RecipeMember, RecipeReader } from "./shard-recipe.js";
import { TarType, TarWriter } from "./tar-writer.js";

/** A layer to be packed: what a thread is sent. */
export interface PackRequest {
  readonly recipe: Uint8Array;
  /** Absolute paths of the files whose contents go in, in the recipe's order, each with a NUL behind it. */
  readonly sources: Uint8Array;
  /** File to write to. It exists, so that a thread that is ended cannot leave one that nobody removes. */
  readonly out: string;
}

/** What came of a {@link PackRequest}. */
export type PackResponse =
  | (LayerBlob & { readonly problem?: undefined })
  /** A file is not what the manifest says. */
  | { readonly problem: "changed"; readonly path: string; readonly how: string }
  | { readonly problem: "unreadable"; readonly path: string; readonly code: string | undefined }
  /** No layer can hold a file. A thread's errors lose what they are on the way, so it comes as a value. */
  | {
      readonly problem: "refused";
      readonly code: KilnErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

// Not blocking: a pipe that took the file's place must not hold up the thread.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Packs one layer: tar, compression and digests in one pass over the files. Synchronous, with bounded memory
 * whatever the files' sizes: for worker threads.
 *
 * Contents are compared with the recipe's sizes and digests. Throws the system's error when `out` cannot be
 * written.
 */
export function packShard({ recipe, sources, out }: PackRequest): PackResponse {
  const reader = new RecipeReader(recipe);
  const descriptor = openSync(out, "r+");
  try {
    const sink = new LayerSink(descriptor, reader.compression);
    const tar = new TarWriter(sink);
    const paths = Buffer.from(sources.buffer, sources.byteOffset, sources.length);
    let at = 0;
    for (const member of reader.members()) {
      tar.header(member);
      if (member.type !== TarType.FILE) continue;
      const end = paths.indexOf(0, at);
      packContent(sink, paths.toString("utf8", at, end), member);
      at = end + 1;
      tar.pad(member.size);
    }
    tar.end();
    return sink.finish();
  } catch (error) {
    if (error instanceof SourceFault) return error.problem;
    if (!(error instanceof KilnError)) throw error;
    const { code, message, hint } = error;
    return { problem: "refused", code, message, hint };
  } finally {
    closeSync(descriptor);
  }
}

class SourceFault extends Error {
  readonly problem: Extract<PackResponse, { problem: "changed" | "unreadable" }>;

  constructor(problem: SourceFault["problem"]) {
    super(problem.path);
    this.problem = problem;
  }
}

function packContent(sink: LayerSink, path: string, member: RecipeMember): void {
  const descriptor = openSource(path, member.size);
  let digest: Buffer;
  try {
    digest =
      member.size < sinkRoom
        ? takeSmall(sink, descriptor, path, member)
        : takeLarge(sink, descriptor, path, member);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  if (!digest.equals(member.sha256)) throw changed(path, "its content is another one");
}

/** `undefined` for a socket, which a listing shows as an empty file. */
function openSource(path: string, size: number): number | undefined {
  try {
    return openSync(path, openFlags);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENXIO" && size === 0) return undefined;
    if (code === "ENOENT" || code === "ENOTDIR") throw changed(path, "it is gone");
    if (code === "ELOOP") throw changed(path, "it has become a symlink");
    throw new SourceFault({ problem: "unreadable", path, code });
  }
}

/** Reads where the tar is to have it, one byte more than there should be; most files need a single call. */
function takeSmall(
  sink: LayerSink,
  descriptor: number | undefined,
  path: string,
  { size }: RecipeMember,
): Buffer {
  sink.room(size + 1);
  const { buffer, at } = sink;
  let taken = 0;
  while (descriptor !== undefined && taken <= size) {
    const count = readSource(descriptor, buffer, at + taken, size + 1 - taken, path);
    taken += count;
    if (count === 0 || taken === size) break;
  }
  checkSize(path, taken, size);
  sink.at += size;
  return hash("sha256", buffer.subarray(at, at + size), "buffer");
}

function takeLarge(
  sink: LayerSink,
  descriptor: number | undefined,
  path: string,
  { size }: RecipeMember,
): Buffer {
  const digest = createHash("sha256");
  let taken = 0;
  while (descriptor !== undefined && taken <= size) {
    sink.room(sinkRoom);
    const { buffer, at } = sink;
    const count = readSource(descriptor, buffer, at, Math.min(sinkRoom, size + 1 - taken), path);
    if (count === 0) break;
    taken += count;
    if (taken > size) break;
    digest.update(buffer.subarray(at, at + count));
    sink.at += count;
  }
  checkSize(path, taken, size);
  return digest.digest();
}

function readSource(descriptor: number, into: Buffer, at: number, bytes: number, path: string): number {
  try {
    return readSync(descriptor, into, at, bytes, null);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EISDIR" || code === "EAGAIN") throw changed(path, "it is no regular file any more");
    throw new SourceFault({ problem: "unreadable", path, code });
  }
}

function checkSize(path: string, taken: number, size: number): void {
  if (taken > size) throw changed(path, "it has grown");
  if (taken < size) throw changed(path, "it has been cut short");
}

function changed(path: string, how: string): SourceFault {
  return new SourceFault({ problem: "changed", path, how });
}
