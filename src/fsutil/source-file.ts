import { closeSync, constants, fstatSync, openSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { changed, isMissing, systemErrorCode, unreadable } from "./file-errors.js";

const readAsync = promisify(read);
// Not blocking: a pipe that took the file's place must not hold up the process.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What reading a file's content may be told. */
export interface ReadContentOptions {
  /**
   * The size that the listing gave, in bytes. Content of another size is an error; `undefined` takes any.
   */
  readonly size?: number | undefined;
  /** The most bytes in one chunk. */
  readonly chunkBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a regular file that a walk has listed, in chunks of at most `chunkBytes`. A file that fits into one
 * chunk is read without leaving the event loop's turn, since a trip to the thread pool costs several times
 * more than reading it. Each chunk is a buffer of its own.
 *
 * Throws `ERR_KILN_FILE_CHANGED` when the file is gone, has become something else, or has another size than
 * the listing said; `ERR_KILN_FILE_UNREADABLE` when it cannot be read; the signal's reason when aborted.
 */
export async function* readContent(
  absolute: string,
  options: ReadContentOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const descriptor = openRegular(absolute, options.size);
  if (descriptor === undefined) return;
  try {
    const size = checkedSize(absolute, descriptor, options.size);
    const atOnce = size < options.chunkBytes;
    let total = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      // One byte more than is left, so that a file that has grown shows at its last chunk.
      const left = options.size === undefined ? options.chunkBytes : size - total + 1;
      const wanted = Math.min(options.chunkBytes, left);
      const buffer = Buffer.allocUnsafe(wanted);
      const count = await readSome(absolute, descriptor, buffer, atOnce);
      if (count === 0) break;
      total += count;
      if (options.size !== undefined && total > size) throw changed(absolute, "it has grown");
      yield buffer.subarray(0, count);
      if (count < wanted && total === size) break;
    }
    if (total < size && options.size !== undefined) throw changed(absolute, "it has been cut short");
  } finally {
    closeSync(descriptor);
  }
}

/** Opens a regular file; `undefined` for a socket, which a listing shows as an empty file. */
function openRegular(absolute: string, size: number | undefined): number | undefined {
  try {
    return openSync(absolute, OPEN_FLAGS);
  } catch (error) {
    if (systemErrorCode(error) === "ENXIO" && size === 0) return undefined;
    if (isMissing(error)) throw changed(absolute, "it is gone");
    if (systemErrorCode(error) === "ELOOP") throw changed(absolute, "it has become a symlink");
    throw unreadable(absolute, error);
  }
}

function checkedSize(absolute: string, descriptor: number, expected: number | undefined): number {
  const stat = fstatSync(descriptor);
  if (!stat.isFile()) throw changed(absolute, "it is no regular file any more");
  if (expected !== undefined && stat.size !== expected) {
    throw changed(absolute, `its size went from ${expected} to ${stat.size} bytes`);
  }
  return stat.size;
}

function readSome(
  absolute: string,
  descriptor: number,
  buffer: Buffer,
  atOnce: boolean,
): number | Promise<number> {
  try {
    if (atOnce) return readSync(descriptor, buffer, 0, buffer.length, null);
  } catch (error) {
    throw unreadable(absolute, error);
  }
  return readAsync(descriptor, buffer, 0, buffer.length, null).then(
    ({ bytesRead }) => bytesRead,
    (error: unknown) => {
      throw unreadable(absolute, error);
    },
  );
}
