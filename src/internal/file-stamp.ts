import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type FileVersion, fileVersion, sameVersion, untilSettled } from "./file-version.js";
import { SpareBuffers } from "./spare-buffers.js";

/** By what a file is known again: plain JSON. */
export interface FileStamp {
  /** Bytes. */
  readonly size: number;
  /** What `lstat` shows of it; missing where that would not tell every later change. */
  readonly version?: FileVersion | undefined;
  /** Of the content, in hex. Without it another version is another file. */
  readonly sha256?: string | undefined;
}

/** Options of {@link stampFile} and {@link checkFile}. */
export interface FileStampOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: (() => number) | undefined;
}

/** What {@link checkFile} found: why it is not the file any more, or the stamp that it has now. */
export type CheckedFile = { readonly problem: string } | { readonly stamp: FileStamp };

const buffers = new SpareBuffers(256 * 1024, 2);

/** Some file systems stamp changes to the second, or to two. */
const coarseMs = 2_500;

/**
 * The version that an `lstat` shows, if every later change of the file is sure to show in it: not if the file was changed in
 * this very tick of the file system's clock, or has times ahead of ours.
 */
export function tellingVersion(stat: BigIntStats, nowMs: number): FileVersion | undefined {
  if (untilSettled(stat, nowMs) !== 0) return undefined;
  const isCoarse = stat.ctimeNs % 1_000_000_000n === 0n;
  if (isCoarse && nowMs - Number(stat.ctimeNs / 1_000_000n) < coarseMs) return undefined;
  return fileVersion(stat);
}

/**
 * Stamps a regular file whose content is known (`sha256` in hex), or is to be read for it (`"read"`), or does not count
 * (`undefined`). Waits a moment for a file that was written just now.
 *
 * Rejects with the file system's error, an `Error` for what is no regular file or is changed meanwhile, or the signal's
 * reason.
 */
export async function stampFile(
  path: string,
  content: string | "read" | undefined,
  options: FileStampOptions = {},
): Promise<FileStamp> {
  const { signal, now = Date.now } = options;
  let stat = await lstatFile(path);
  let version = tellingVersion(stat, now());
  if (version === undefined) {
    await delay(25, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    signal?.throwIfAborted();
    stat = await lstatFile(path);
    version = tellingVersion(stat, now());
  }
  const sha256 = content === "read" ? await hashFile(path, stat, signal) : content;
  return {
    size: Number(stat.size),
    ...(version === undefined ? {} : { version }),
    ...(sha256 === undefined ? {} : { sha256 }),
  };
}

/**
 * Whether a path is the file that was stamped. A file of another version counts if its content is the same. One that is
 * changed or replaced while it is read, by another writer of the same content too, is looked at again, a few times.
 */
export async function checkFile(
  path: string,
  stamp: FileStamp,
  options: FileStampOptions = {},
): Promise<CheckedFile> {
  for (let attempt = 1; ; attempt += 1) {
    const checked = await checkOnce(path, stamp, options);
    if (attempt === ATTEMPTS || !("problem" in checked) || checked.problem !== CHANGES) return checked;
  }
}

async function checkOnce(path: string, stamp: FileStamp, options: FileStampOptions): Promise<CheckedFile> {
  const { signal, now = Date.now } = options;
  let stat: BigIntStats;
  try {
    stat = await lstatFile(path);
  } catch (error) {
    return { problem: problemOf(error) };
  }
  if (Number(stat.size) !== stamp.size) {
    return { problem: `has ${stat.size} bytes in place of ${stamp.size}` };
  }
  if (stamp.version !== undefined && sameVersion(stamp.version, fileVersion(stat))) return { stamp };
  if (stamp.sha256 === undefined) return { problem: "was changed" };
  try {
    const sha256 = await hashFile(path, stat, signal);
    if (sha256 !== stamp.sha256) return { problem: "was changed" };
  } catch (error) {
    signal?.throwIfAborted();
    return { problem: problemOf(error) };
  }
  const version = tellingVersion(stat, now());
  return { stamp: { size: stamp.size, sha256: stamp.sha256, ...(version === undefined ? {} : { version }) } };
}

class NoFile extends Error {}

const CHANGES = "changes while it is read";
/** How often a file that changes meanwhile is looked at. */
const ATTEMPTS = 5;

async function lstatFile(path: string): Promise<BigIntStats> {
  const stat = await lstat(path, { bigint: true });
  if (stat.isFile()) return stat;
  throw new NoFile(
    stat.isSymbolicLink() ? "is a link" : stat.isDirectory() ? "is a directory" : "is no file",
  );
}

/** Reads the file of an `lstat`, and no other one that has its name by now. */
async function hashFile(path: string, stat: BigIntStats, signal: AbortSignal | undefined): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    await expectVersion(file, stat);
    const hash = createHash("sha256");
    const buffer = buffers.take();
    try {
      for (let at = 0; ; ) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
    } finally {
      buffers.give(buffer);
    }
    await expectVersion(file, stat);
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

async function expectVersion(file: FileHandle, stat: BigIntStats): Promise<void> {
  if (sameVersion(fileVersion(await file.stat({ bigint: true })), fileVersion(stat))) return;
  throw new NoFile(CHANGES);
}

function problemOf(error: unknown): string {
  if (error instanceof NoFile) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return "is gone";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
