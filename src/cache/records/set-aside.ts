import { linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, type Stats } from "node:fs";
import { join } from "node:path";
import { isMissing } from "../../fsutil/file-errors.js";
import { randomId } from "../../internal/random-id.js";
import type { SeenFile } from "./read-record.js";

/** So many are kept for whoever wants to find out what happened. */
const kept = 20;

/**
 * Moves what is damaged out of the way, into the directory `damaged`, which keeps the last 20 by the time in their names
 * (`TIME.KIND.NAME.RANDOM`).
 *
 * A file that another process put there since it was `seen` stays. Throws the file system's error.
 */
export function setAside(
  path: string,
  {
    damaged,
    label,
    seen,
    now,
  }: {
    readonly damaged: string;
    /** `KIND.NAME`. */
    readonly label: string;
    readonly seen: SeenFile;
    readonly now: number;
  },
): void {
  const time = String(Math.max(0, Math.floor(now))).padStart(15, "0");
  const target = join(damaged, `${time}.${label.replaceAll(/[^\w.-]/g, "_").slice(0, 100)}.${randomId()}`);
  try {
    if (!isSame(lstatSync(path), seen)) return;
    mkdirSync(damaged, { recursive: true });
    renameSync(path, target);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (!isSame(lstatSync(target), seen)) putBack(target, path);
  const names = readdirSync(damaged).sort();
  for (const name of names.slice(0, Math.max(0, names.length - kept))) {
    rmSync(join(damaged, name), { recursive: true, force: true });
  }
}

function isSame(found: Stats, seen: SeenFile): boolean {
  return found.ino === seen.ino && found.mtimeMs === seen.mtimeMs && found.size === seen.size;
}

/** A good file was renamed: it goes back, unless there is another one already. */
function putBack(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // A newer one is there.
  }
  rmSync(from, { force: true });
}
