import { type BigIntStats, constants } from "node:fs";
import { copyFile, type FileHandle, open, rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import { systemErrorCode } from "../fsutil/file-errors.js";
import { fileVersion, sameVersion } from "../internal/file-version.js";
import { mediaTypes } from "../oci/media-types.js";
import { compressionOf, kindBytes } from "./file-kind.js";
import { canReadZstd, type ReadLayer, readLayer } from "./read-layer.js";
import { changedTar, invalidArchive, type RootfsJob, rootfsError, unreadableTar } from "./rootfs-job.js";
import { TarFault } from "./tar-scanner.js";

/** A layer that was taken. */
export interface TakenLayer extends ReadLayer {
  readonly mediaType: string;
}

const layerTypes = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
} as const;

/**
 * Copies a tar to `target`, which must be new, and reads and checks what was copied. `before` is what `stat` said of it.
 *
 * Rejects with the errors of `rootfsLayout`, and the file system's for `target`.
 */
export async function takeLayer(
  job: RootfsJob,
  real: string,
  before: BigIntStats,
  target: string,
): Promise<TakenLayer> {
  const source = await open(real, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw unreadableTar(job, error);
  });
  let copy: FileHandle | undefined;
  const isUnchanged = async (): Promise<boolean> => {
    const [opened, named] = await Promise.all([
      source.stat({ bigint: true }),
      stat(real, { bigint: true }).catch(() => undefined),
    ]);
    const version = fileVersion(before);
    const after = named === undefined ? undefined : fileVersion(named);
    return sameVersion(version, fileVersion(opened)) && after !== undefined && sameVersion(version, after);
  };
  try {
    const cloned = await tryClone(real, target);
    copy = await open(target, cloned ? "r" : "wx");
    const head = Buffer.alloc(kindBytes);
    const from = cloned ? copy : source;
    const { bytesRead } = await from.read(head, 0, head.length, 0);
    const compression = compressionOf(head.subarray(0, bytesRead));
    if (compression === "zstd" && !canReadZstd()) {
      throw rootfsError(
        job,
        "ERR_KILN_UNSUPPORTED",
        "it is compressed with zstd, which this version of Node cannot read",
        `Use Node 22.15 or newer, or unpack it first: zstd -d ${basename(real)}`,
      );
    }
    const read = await readLayer(from, {
      compression,
      copyTo: cloned ? undefined : copy,
      signal: job.signal,
    }).catch(async (error: unknown) => {
      job.signal?.throwIfAborted();
      // What is wrong with a file that somebody writes to is not what was read of it.
      if (!(await isUnchanged())) throw changedTar(job);
      if (error instanceof TarFault) throw invalidArchive(job, error, head.subarray(0, bytesRead));
      throw systemErrorCode(error) !== undefined && isReading(error) ? unreadableTar(job, error) : error;
    });
    if (!(await isUnchanged()) || BigInt(read.size) !== before.size) throw changedTar(job);
    return { ...read, mediaType: layerTypes[compression ?? "none"] };
  } finally {
    await copy?.close();
    await source.close();
  }
}

/**
 * Shares the content with the file system's help, where it has such (btrfs, XFS, bcachefs, APFS): no bytes are copied, and
 * either file may be written without the other's changing. A hard link would not do: who writes into the tar would write
 * into the layer. Elsewhere it is copied in pieces by the caller, which can be stopped, and reads it once.
 */
async function tryClone(source: string, target: string): Promise<boolean> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch {
    await rm(target, { force: true });
    return false;
  }
}

function isReading(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && error.syscall === "read";
}
