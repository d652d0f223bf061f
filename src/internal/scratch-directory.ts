import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isRunning, processMark } from "./process-mark.js";
import { randomId } from "./random-id.js";

/** What a process that is not known here has left alone for so long is taken for abandoned. */
const abandonedMs = 24 * 60 * 60 * 1000;

/**
 * Makes a new directory below `parent` for something that is under way, and removes those that processes which are no
 * more left there. The caller removes its own, or renames it.
 */
export async function makeScratchDirectory(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  await sweepScratchDirectories(parent);
  const dir = join(parent, `${processMark()}.${randomId()}`);
  await mkdir(dir);
  return dir;
}

/** Removes scratch directories whose processes are no more. One that cannot be removed stays. */
export async function sweepScratchDirectories(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const dir = join(parent, name);
    const running = isRunning(name.slice(0, Math.max(0, name.lastIndexOf("."))));
    if (running === true || (running === undefined && !(await isOld(dir)))) continue;
    await rm(dir, { recursive: true, force: true }).catch(() => {});
  }
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > abandonedMs;
  } catch {
    return false;
  }
}
