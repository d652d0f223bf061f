import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { randomId } from "./random-id.js";

/**
 * Replaces a file as a whole: readers see the former content or the new one, also after a crash of the machine, and the
 * new one is on disk when this resolves. Rejects with the file system's error; the former content then stays.
 */
export async function replaceDurably(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomId()}.tmp`;
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Waits until the names in a directory are on disk, where the system can say so (Windows cannot). */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
