import { KilnError } from "../errors.js";

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EEXIST: "something else is there",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of its path is no directory",
  ELOOP: "too many symlinks",
  ENAMETOOLONG: "the path is too long",
  EMFILE: "too many open files",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EIO: "input/output error",
};

/** The `code` of a Node system error (`ENOENT`), if `error` is one. */
export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Whether the file that a call was about is not there (any more). */
export function isMissing(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Whether a call failed for want of permission. */
export function isForbidden(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "EACCES" || code === "EPERM";
}

/** A system error's reason in words. */
export function systemReason(error: unknown): string {
  const code = systemErrorCode(error);
  if (code !== undefined) return REASONS[code] ?? code;
  return error instanceof Error ? error.message : String(error);
}

/** `ERR_KILN_FILE_UNREADABLE` for a file of the user's. */
export function unreadable(absolute: string, error: unknown): KilnError {
  return new KilnError("ERR_KILN_FILE_UNREADABLE", `cannot read ${absolute}: ${systemReason(error)}`, {
    hint: isForbidden(error)
      ? "Give the current user read access to it, or leave it out with an ignore pattern."
      : undefined,
    cause: error,
  });
}

/** `ERR_KILN_FILE_CHANGED` for a file of the user's that is no longer what its listing said. */
export function changed(absolute: string, how: string): KilnError {
  return new KilnError("ERR_KILN_FILE_CHANGED", `${absolute} changed while it was being read: ${how}`, {
    hint: "Build again once nothing writes to it, or leave it out with an ignore pattern.",
  });
}

/** `ERR_KILN_OUTPUT_UNWRITABLE` for a path below an output directory. */
export function unwritable(absolute: string, error: unknown): KilnError {
  return new KilnError("ERR_KILN_OUTPUT_UNWRITABLE", `cannot write ${absolute}: ${systemReason(error)}`, {
    hint: isForbidden(error) ? "Give the current user write access to the directory." : undefined,
    cause: error,
  });
}
