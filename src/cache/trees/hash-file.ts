import { createHash, hash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { systemErrorCode } from "../../fsutil/file-errors.js";
import type { EntryStat } from "./tree-builder.js";

// Not blocking: a pipe that took the file's place must not hold up the process.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const PIECE_BYTES = 256 * 1024;
/** Times that a file is read which changes meanwhile. */
const TRIES = 5;

/** What came of reading a file. */
export type HashedFile =
  | {
      readonly kind: "hashed";
      readonly sha256: string;
      /** The stat that belongs to the content. */
      readonly stat: EntryStat;
      readonly mtimeNs: bigint;
      readonly bytesRead: number;
    }
  /** It is no regular file any more. */
  | { readonly kind: "other" }
  | { readonly kind: "gone" }
  /** It changed each time while it was read. */
  | { readonly kind: "unsettled" }
  /** It cannot be read: the system's error code. */
  | { readonly kind: "unreadable"; readonly code: string };

/** What a stat taken before tells of a file: it must still be so after the reading. */
export type FileMark = Pick<EntryStat, "dev" | "ino" | "mode" | "size" | "mtimeMs" | "ctimeMs">;

/** Whether two stats are of one state of one file. */
export function sameMark(a: FileMark, b: FileMark): boolean {
  return (
    a.ctimeMs === b.ctimeMs &&
    a.mtimeMs === b.mtimeMs &&
    a.size === b.size &&
    a.ino === b.ino &&
    a.mode === b.mode &&
    a.dev === b.dev
  );
}

/** Reads files for their sha256, with one buffer for all. */
export class FileHasher {
  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);

  /**
   * Reads a file, again while it changes; yields between pieces.
   *
   * The file's stat after the reading must be that before it. Both are taken around everything that is read, so content
   * is never kept under a stat that is younger than it.
   *
   * @param before - A stat from before, so that most files need only the one after.
   */
  *hash(absolute: string, before: FileMark): Generator<void, HashedFile, void> {
    let mark = before;
    for (let tries = 0; tries < TRIES; tries += 1) {
      let descriptor: number;
      try {
        descriptor = openSync(absolute, OPEN_FLAGS);
      } catch (error) {
        const code = systemErrorCode(error) ?? "EIO";
        if (code === "ENOENT" || code === "ENOTDIR") return { kind: "gone" };
        return code === "ELOOP" || code === "ENXIO" ? { kind: "other" } : { kind: "unreadable", code };
      }
      try {
        if (tries > 0) mark = fstatSync(descriptor);
        const { sha256, bytesRead } = yield* this.#read(descriptor, mark.size);
        // The exact time first: it lies between two looks at the same state.
        const { mtimeNs } = fstatSync(descriptor, { bigint: true });
        const after: Stats = fstatSync(descriptor);
        if (!after.isFile()) return { kind: "other" };
        if (bytesRead === after.size && sameMark(mark, after)) {
          return { kind: "hashed", sha256, stat: after, mtimeNs, bytesRead };
        }
      } catch (error) {
        // A directory, or a pipe that has nothing to read.
        if (!fstatSync(descriptor).isFile()) return { kind: "other" };
        return { kind: "unreadable", code: systemErrorCode(error) ?? "EIO" };
      } finally {
        closeSync(descriptor);
      }
    }
    return { kind: "unsettled" };
  }

  *#read(
    descriptor: number,
    size: number,
  ): Generator<void, { readonly sha256: string; readonly bytesRead: number }, void> {
    const buffer = this.#buffer;
    let count = readSync(descriptor, buffer, 0, buffer.length, null);
    // A file that fits is read in one go; should there be more after all, its stat shows it.
    if (count === size && count < buffer.length) {
      return { sha256: hash("sha256", buffer.subarray(0, count)), bytesRead: count };
    }
    const sum = createHash("sha256");
    let bytesRead = 0;
    // A file that grows as fast as it is read would never end.
    while (count > 0 && bytesRead <= size) {
      sum.update(buffer.subarray(0, count));
      bytesRead += count;
      yield;
      count = readSync(descriptor, buffer, 0, buffer.length, null);
    }
    return { sha256: sum.digest("hex"), bytesRead };
  }
}
