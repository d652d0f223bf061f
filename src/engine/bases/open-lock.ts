import type { SolveSettings } from "../../solver/solve-settings.js";
import { readIfThere } from "../../solver/source-lock/lock-file.js";
import { emptySourceLock, type SourceLock } from "../../solver/source-lock/source-lock.js";

/**
 * The lock that a build goes by, read from its file if it is one; `undefined` if it goes by none. Rejects with
 * `ERR_KILN_LOCK_INVALID` or `ERR_KILN_FILE_UNREADABLE`.
 */
export async function openLock({
  sourceLock,
}: SolveSettings): Promise<{ readonly lock: SourceLock } | undefined> {
  if (sourceLock === undefined) return undefined;
  if (typeof sourceLock !== "string") return { lock: sourceLock };
  return { lock: (await readIfThere(sourceLock)) ?? emptySourceLock };
}
