import { lstatSync, renameSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { isMissing } from "../../fsutil/file-errors.js";
import { processMark } from "../../internal/process-mark.js";
import { randomId } from "../../internal/random-id.js";
import { sweepScratchDirectories } from "../../internal/scratch-directory.js";
import type { CacheArea, CacheItem } from "./cache-area.js";
import type { CacheIndex } from "./cache-index.js";
import { indexAreas } from "./index-areas.js";

/** What {@link pruneIndex} removes. */
export interface PruneOptions {
  /** Bytes that may stay. Default the index's limit. */
  readonly maxBytes?: number | undefined;
  /** How long something stays that was not used, in milliseconds. Default the index's limit. */
  readonly maxAgeMs?: number | undefined;
  /** Removes nothing; the result says what would go. */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What of one kind went. */
export interface PrunedKind {
  readonly kind: string;
  readonly records: number;
  readonly bytes: number;
}

/** What {@link pruneIndex} did. */
export interface PruneResult {
  /** Kinds of which something went. */
  readonly removed: readonly PrunedKind[];
  readonly freedBytes: number;
  readonly keptRecords: number;
  /** May be above the bound: what was used within the hour stays where a build may still read it. */
  readonly keptBytes: number;
  /** Items that could not be removed. They count as kept. */
  readonly failed: number;
}

interface Candidate extends CacheItem {
  readonly area: CacheArea;
}

/** Of builds, so many are kept however small and new they are: who looks for one reads them all. */
const maxBuilds = 1000;

/** So many are removed before others have their turn. */
const atOnce = 50;

/**
 * Removes what was not used for too long, all but the newest thousand builds, and then the least recently used until the
 * rest is within bounds. Blobs and root file systems that were used within the last hour stay, since a build may be at
 * them. Works on an index that is switched off, too.
 *
 * Safe beside readers and writers: who comes too late finds a record missing. Rejects with the signal's reason.
 */
export async function pruneIndex(index: CacheIndex, options: PruneOptions = {}): Promise<PruneResult> {
  const { maxBytes = index.limits.maxBytes, maxAgeMs = index.limits.maxAgeMs, signal } = options;
  const dryRun = options.dryRun === true;
  const items = await candidates(indexAreas(index), { sweep: !dryRun, signal });
  const now = index.now();
  let bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  let builds = items.filter(isBuild).length;
  let failed = 0;
  const gone: Candidate[] = [];
  for (const [position, item] of items.entries()) {
    const age = now - item.usedAt;
    const isSurplus = isBuild(item) && builds > maxBuilds;
    if (!isSurplus && age <= maxAgeMs && bytes <= maxBytes) continue;
    if (Math.abs(age) < item.area.graceMs) continue;
    if (position % atOnce === 0) await setImmediate();
    signal?.throwIfAborted();
    const outcome = dryRun ? "removed" : await discard(item);
    if (outcome === "failed") failed += 1;
    if (outcome !== "removed") continue;
    gone.push(item);
    bytes -= item.bytes;
    if (isBuild(item)) builds -= 1;
  }
  const removed = sums(gone);
  const freedBytes = removed.reduce((sum, kind) => sum + kind.bytes, 0);
  return { removed, freedBytes, keptRecords: items.length - gone.length, keptBytes: bytes, failed };
}

/** All that counts, least recently used first. */
async function candidates(
  areas: readonly CacheArea[],
  { sweep, signal }: { readonly sweep: boolean; readonly signal: AbortSignal | undefined },
): Promise<readonly Candidate[]> {
  const items: Candidate[] = [];
  for (const area of areas) {
    if (sweep) await sweepScratchDirectories(area.scratch);
    for await (const item of area.items()) items.push({ ...item, area });
    signal?.throwIfAborted();
  }
  return items.sort((a, b) => a.usedAt - b.usedAt);
}

function isBuild({ area }: Candidate): boolean {
  return area.kind === "builds";
}

function sums(items: readonly Candidate[]): readonly PrunedKind[] {
  const kinds = new Map<string, PrunedKind>();
  for (const { area, bytes } of items) {
    const { kind } = area;
    const sum = kinds.get(kind) ?? { kind, records: 0, bytes: 0 };
    kinds.set(kind, { kind, records: sum.records + 1, bytes: sum.bytes + bytes });
  }
  return [...kinds.values()];
}

/**
 * Removes an item unless it was used since it was listed. It gets another name first, so that nobody sees half of it, and
 * is looked at again under that name: who uses an item marks it first, and then looks whether it is there.
 */
async function discard({ path, usedAt, area }: Candidate): Promise<"removed" | "used" | "failed"> {
  try {
    if (lstatSync(path).mtimeMs !== usedAt) return "used";
    await mkdir(area.scratch, { recursive: true });
    const away = join(area.scratch, `${processMark()}.${randomId()}`);
    renameSync(path, away);
    if (lstatSync(away).mtimeMs !== usedAt) {
      renameSync(away, path);
      return "used";
    }
    rmSync(away, { recursive: true, force: true });
    return "removed";
  } catch (error) {
    // Somebody else removed it.
    return isMissing(error) ? "used" : "failed";
  }
}
