import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isRunning, processMark } from "./process-mark.js";
import { randomId } from "./random-id.js";

/** `NAME.MARK.ID.tmp`, the mark being of the process that writes it. */
const namePattern = /^(.*)\.([0-9a-f]{12}\.\d{1,10}\.\d{1,20})\.[0-9a-z]{25}\.tmp$/s;

/** What is kept of a name, so that the whole is none that is too long for a file system. */
const keptLength = 120;

/**
 * A new name beside `path`, for what gets that name once it is whole. It says which process writes it, so that
 * {@link sweepUnfinished} can tell what a process has left that was killed.
 */
export function unfinishedName(path: string): string {
  return join(dirname(path), `${kept(basename(path))}.${processMark()}.${randomId()}.tmp`);
}

/**
 * Removes files and directories that processes which are no more left unfinished in a directory: those for the name
 * `of`, or for any. Leaves what it cannot look up or remove.
 */
export async function sweepUnfinished(dir: string, of?: string): Promise<void> {
  for (const name of await readdir(dir).catch(() => [])) {
    if (!isLeftover(name, of)) continue;
    await rm(join(dir, name), { recursive: true, force: true }).catch(() => {});
  }
}

/** Whether a process that is no more left a file or directory of that name unfinished: for the name `of`, or for any. */
export function isLeftover(name: string, of?: string): boolean {
  const [, wanted, mark] = namePattern.exec(name) ?? [];
  if (wanted === undefined || mark === undefined) return false;
  return (of === undefined || wanted === kept(of)) && isRunning(mark) === false;
}

function kept(name: string): string {
  return name.slice(0, keptLength);
}
