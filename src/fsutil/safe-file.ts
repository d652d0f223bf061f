import { closeSync, fchmodSync, futimesSync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import type { KilnError } from "../errors.js";
import { toNodeTime } from "./file-times.js";

const writeAsync = promisify(write);
/** Pieces from this size on are written by the thread pool, in case the disk makes them wait. */
const ASYNC_BYTES = 64 * 1024;

/** What ends a {@link SafeFile}. */
export interface SafeFileEnds {
  readonly commit: () => void;
  readonly discard: () => void;
  readonly failure: (error: unknown) => KilnError;
}

/** A file being written under a temporary name, from `SafeRoot.createFile`. */
export class SafeFile {
  readonly #descriptor: number;
  readonly #ends: SafeFileEnds;
  #ended = false;

  constructor(descriptor: number, ends: SafeFileEnds) {
    this.#descriptor = descriptor;
    this.#ends = ends;
  }

  /** Appends; one call at a time. Throws `ERR_KILN_OUTPUT_UNWRITABLE`. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) {
        const left = bytes.length - at;
        at +=
          left < ASYNC_BYTES
            ? writeSync(this.#descriptor, bytes, at, left)
            : (await writeAsync(this.#descriptor, bytes, at, left)).bytesWritten;
      }
    } catch (error) {
      throw this.#ends.failure(error);
    }
  }

  /** Sets mode (the twelve bits of `chmod`) and time, and gives the file its name in one step. */
  commit(metadata: { readonly mode: number; readonly modTime: bigint }): void {
    const time = toNodeTime(metadata.modTime);
    try {
      fchmodSync(this.#descriptor, metadata.mode);
      futimesSync(this.#descriptor, time, time);
    } catch (error) {
      throw this.#ends.failure(error);
    }
    this.#close();
    this.#ends.commit();
  }

  /** Removes it. Does nothing after either end. */
  discard(): void {
    if (this.#ended) return;
    this.#close();
    this.#ends.discard();
  }

  #close(): void {
    this.#ended = true;
    closeSync(this.#descriptor);
  }
}
