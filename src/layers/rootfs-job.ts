import { basename } from "node:path";
import { type CallSite, KilnError, type KilnErrorCode } from "../errors.js";
import { systemReason } from "../fsutil/file-errors.js";
import type { Platform } from "../oci/platform.js";
import { fileKind } from "./file-kind.js";
import type { RootfsPlaces } from "./kept-rootfs.js";
import type { TarFault } from "./tar-scanner.js";

/** A root file system under way to a layout. */
export interface RootfsJob {
  readonly tarPath: string;
  readonly places: RootfsPlaces;
  readonly platform: Platform;
  readonly signal: AbortSignal | undefined;
  readonly location: CallSite | undefined;
}

const faultHints: Readonly<Record<TarFault["reason"], string>> = {
  "not-a-tar": "Pass a tar of a root file system, plain or compressed with gzip or zstd.",
  damaged: "Make or fetch it again.",
  "cut-off": "Fetch it again, or wait until it has been written.",
  joined: "It may be several tars in a row, of which only the first would be used: unpack them and pack one.",
  "left-over": "It may be made of several parts: unpack it, and pass the tar.",
  empty: "Use Image.fromScratch() for an image without files.",
  "image-archive":
    "It is what docker save or an OCI tool wrote: unpack it and use Image.fromOciLayout, or use docker export.",
};

/** `ERR_KILN_ARCHIVE_INVALID` for what is wrong with the bytes; `head` are the file's first. */
export function invalidArchive(job: RootfsJob, fault: TarFault, head: Buffer): KilnError {
  const kind = fault.reason === "not-a-tar" ? fileKind(head) : undefined;
  return kind === undefined
    ? rootfsError(job, "ERR_KILN_ARCHIVE_INVALID", fault.message, faultHints[fault.reason], fault)
    : rootfsError(
        job,
        "ERR_KILN_ARCHIVE_INVALID",
        `it is ${kind.name}`,
        kind.hint.replace("FILE", basename(job.tarPath)),
        fault,
      );
}

/** `ERR_KILN_FILE_CHANGED`. */
export function changedTar(job: RootfsJob): KilnError {
  return rootfsError(
    job,
    "ERR_KILN_FILE_CHANGED",
    "it changed while it was being read",
    "Build again once nothing writes to it.",
  );
}

/** `ERR_KILN_FILE_UNREADABLE`, with the system's reason. */
export function unreadableTar(job: RootfsJob, cause: unknown): KilnError {
  return rootfsError(job, "ERR_KILN_FILE_UNREADABLE", systemReason(cause), "Check its permissions.", cause);
}

/** An error about the tar, with the place of the user's call. */
export function rootfsError(
  job: RootfsJob,
  code: KilnErrorCode,
  why: string,
  hint: string,
  cause?: unknown,
): KilnError {
  return new KilnError(code, `the root file system ${job.tarPath}: ${why}`, {
    hint,
    cause,
    location: job.location,
  });
}
