import { lstatSync, rmSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isRunning } from "../../internal/process-mark.js";
import { sweepScratchDirectories } from "../../internal/scratch-directory.js";
import type { CacheItem } from "./cache-area.js";
import type { CacheIndex } from "./cache-index.js";
import { indexAreas } from "./index-areas.js";
import { recordKinds } from "./record-kind.js";
import { setAside } from "./set-aside.js";

/** Something in the index that is not what it should be. */
export interface DamagedItem {
  readonly kind: string;
  readonly name: string;
  readonly path: string;
  /** What is wrong with it, as the end of a sentence about "it". */
  readonly problem: string;
  /** Whether it was set aside or removed. */
  readonly repaired: boolean;
}

/** What {@link verifyIndex} found. */
export interface VerifyResult {
  /** Records, blobs and other items that were read. */
  readonly checked: number;
  readonly bytes: number;
  readonly damaged: readonly DamagedItem[];
  /** Files that processes left which are no more. */
  readonly leftovers: number;
}

/**
 * Reads all that is in an index, and hashes what is named by its content.
 *
 * With `repair`, damaged records are set aside in the directory `damaged`; damaged blobs and root file systems, which may
 * be large and can be made again, and leftovers are removed. Records of a later Kiln are no damage. Works on an index that
 * is switched off, too. Rejects with the signal's reason alone.
 */
export async function verifyIndex(
  index: CacheIndex,
  options: { readonly repair?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<VerifyResult> {
  const { signal } = options;
  const repair = options.repair === true;
  const damaged: DamagedItem[] = [];
  let checked = 0;
  let bytes = 0;
  const note = (kind: string, { name, path, problem }: Omit<DamagedItem, "kind" | "repaired">): void => {
    damaged.push({ kind, name, path, problem, repaired: repair && remedy(index, { kind, name, path }) });
  };
  for (const kind of [...recordKinds, "blobs", "damaged"]) {
    const path = join(index.dir, kind);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && !found.isDirectory()) {
      note(kind, { name: "", path, problem: "it is no directory" });
    }
  }
  const areas = indexAreas(index);
  for (const area of areas) {
    for await (const item of area.items()) {
      signal?.throwIfAborted();
      checked += 1;
      bytes += item.bytes;
      const problem = await area.check(item);
      if (problem !== undefined && isThere(item)) note(area.kind, { ...item, problem });
    }
  }
  let leftovers = 0;
  for (const scratch of new Set(areas.map((area) => area.scratch))) {
    leftovers += await leftoversIn(scratch);
    if (repair) await sweepScratchDirectories(scratch);
  }
  return { checked, bytes, damaged, leftovers };
}

/** Gets a damaged item out of the way, and says whether that went well. */
function remedy(
  index: CacheIndex,
  { kind, name, path }: { readonly kind: string; readonly name: string; readonly path: string },
): boolean {
  try {
    if (name !== "" && !recordKinds.some((one) => one === kind))
      rmSync(path, { recursive: true, force: true });
    else {
      const { damaged } = index.places;
      setAside(path, { damaged, label: `${kind}.${name}`, seen: lstatSync(path), now: index.now() });
    }
    return true;
  } catch {
    return false;
  }
}

/** What is gone by now was pruned or replaced. */
function isThere({ path }: CacheItem): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function leftoversIn(scratch: string): Promise<number> {
  const names = await readdir(scratch).catch(() => []);
  return names.filter((name) => isRunning(name.slice(0, Math.max(0, name.lastIndexOf(".")))) === false)
    .length;
}
