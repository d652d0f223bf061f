import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync, type Stats } from "node:fs";
import { promisify } from "node:util";
import { isMissing, systemErrorCode } from "../../fsutil/file-errors.js";
import { type DecodedRecord, decodeRecord } from "./record-file.js";
import type { RecordName } from "./record-kind.js";

/** What is at a record's place. */
export type RecordRead =
  | Extract<DecodedRecord, { state: "whole" | "newer" }>
  | { readonly state: "missing" }
  | { readonly state: "unreadable"; readonly error: unknown }
  | { readonly state: "damaged"; readonly problem: string; readonly seen: SeenFile };

/** By what a file is known again after it was renamed. */
export type SeenFile = Pick<Stats, "ino" | "mtimeMs" | "size">;

/** No record is larger: what is, somebody else put there. */
const maxBytes = 512 * 2 ** 20;

/** Up to this size, reading at once costs less than waiting for a thread. */
const atOnceBytes = 256 * 2 ** 10;

/** To open a record with: a link's target or a pipe's other end are none of ours. Windows has neither flag. */
export const recordFlags: number =
  constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Reads and checks the record at `path`, changing nothing. `onWhole` gets the open file of one that is whole, and what
 * was known of it before.
 */
export async function readRecord(
  path: string,
  name: RecordName,
  onWhole?: (fd: number, before: Stats) => void,
): Promise<RecordRead> {
  let fd: number;
  try {
    fd = openSync(path, recordFlags);
  } catch (error) {
    return notOpened(path, error);
  }
  try {
    const seen = fstatSync(fd);
    if (!seen.isFile()) return { state: "damaged", problem: "it is no regular file", seen };
    if (seen.size > maxBytes) return { state: "damaged", problem: "it is too large for a record", seen };
    const found = decodeRecord(name, await readBytes(fd, seen.size));
    if (found.state === "damaged") return { ...found, seen };
    if (found.state === "whole") onWhole?.(fd, seen);
    return found;
  } catch (error) {
    return { state: "unreadable", error };
  } finally {
    closeSync(fd);
  }
}

function notOpened(path: string, error: unknown): RecordRead {
  if (isMissing(error)) return { state: "missing" };
  try {
    const seen = lstatSync(path);
    if (systemErrorCode(error) === "ELOOP" && seen.isSymbolicLink()) {
      return { state: "damaged", problem: "it is a link", seen };
    }
  } catch (later) {
    if (isMissing(later)) return { state: "missing" };
  }
  return { state: "unreadable", error };
}

const readLater = promisify(read);

/** As many bytes as there are, `size` at most. */
async function readBytes(fd: number, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let filled = 0;
  while (filled < size) {
    const count =
      size <= atOnceBytes
        ? readSync(fd, bytes, filled, size - filled, filled)
        : (await readLater(fd, bytes, filled, size - filled, filled)).bytesRead;
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}
