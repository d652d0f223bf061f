import { lstatSync, type Stats } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

/** A record as it is listed. */
export interface RecordEntry {
  readonly key: string;
  /** Of its file. */
  readonly bytes: number;
  /** When it was last used or written, in milliseconds since 1970. */
  readonly usedAt: number;
}

/** A file of a directory. */
export interface ListedFile extends Omit<RecordEntry, "key"> {
  readonly name: string;
  readonly path: string;
}

/** So many are looked at before others have their turn. */
const atOnce = 200;

/** What is in a directory, whatever it is, in no order. Nothing where it cannot be listed; what goes meanwhile is left out. */
export async function* listRecords(dir: string): AsyncIterable<ListedFile> {
  const names = await readdir(dir).catch(() => []);
  for (const [index, name] of names.entries()) {
    if (index % atOnce === atOnce - 1) await setImmediate();
    const path = join(dir, name);
    const found = look(path);
    if (found !== undefined) yield { name, path, bytes: found.size, usedAt: found.mtimeMs };
  }
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
