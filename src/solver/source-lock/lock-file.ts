import { open, readFile, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KilnError } from "../../errors.js";
import { randomId } from "../../internal/random-id.js";
import { formatSourceLock, parseSourceLock } from "./lock-text.js";
import type { SourceLock } from "./source-lock.js";

/**
 * Reads a lock file.
 *
 * Rejects with `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE`, or `ERR_KILN_LOCK_INVALID` with file and line.
 */
export async function readSourceLock(file: string): Promise<SourceLock> {
  const lock = await readIfThere(file);
  if (lock !== undefined) return lock;
  throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no lock file ${file}`, {
    hint: 'Lock the sources first: pull "missing" or "always".',
  });
}

/** The lock of a file; `undefined` if there is none. Rejects as {@link readSourceLock} does otherwise. */
export async function readIfThere(file: string): Promise<SourceLock | undefined> {
  const text = await textIfThere(file);
  return text === undefined ? undefined : parseSourceLock(text, file);
}

/**
 * Writes a lock file, unless it says that already. Returns whether it was written.
 *
 * The file is replaced in one step: whoever reads it, or comes after a kill at any moment, finds the old text or the new
 * one. A link stays one. Rejects with `ERR_KILN_LOCK_INVALID` for a lock that could not be read back, and with
 * `ERR_KILN_OUTPUT_UNWRITABLE`.
 */
export async function writeSourceLock(file: string, lock: SourceLock): Promise<boolean> {
  const text = formatSourceLock(lock);
  if ((await textIfThere(file)) === text) return false;
  const target = await realpath(file).catch(() => file);
  const draft = join(dirname(target), `.${basename(target)}.${randomId()}.tmp`);
  try {
    const handle = await open(draft, "wx", 0o666);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw new KilnError(
      "ERR_KILN_OUTPUT_UNWRITABLE",
      `cannot write the lock file ${file}: ${reason(error)}`,
      {
        hint: "Its directory must be there and writable.",
        cause: error,
      },
    );
  }
  return true;
}

async function textIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new KilnError("ERR_KILN_FILE_UNREADABLE", `cannot read the lock file ${file}: ${reason(error)}`, {
      hint: "Check that it is a file and its permissions.",
      cause: error,
    });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
