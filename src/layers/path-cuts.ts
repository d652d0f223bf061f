import { isDirectoryMode, isRegularMode } from "../fsutil/file-mode.js";
import type { ManifestEntry } from "../fsutil/manifest-entry.js";
import { isHardLink } from "./shard-recipe.js";

/** The least weight of a shard in a tree that is small enough for as few. */
const leastWeight = 512;
/** Files below four times this have weight 1. */
const weightUnit = 16 * 1024;
/** Files of so many times a shard's least weight stand alone. */
const aloneFrom = 3;

/**
 * Finds where to cut a tree of entries, which are added in protocol order.
 *
 * Every gap between two entries has a priority: a hash of the path behind it. The tree is cut at the gap of
 * the highest one that leaves a least weight on both sides, then each part in the same way, until nothing can
 * be cut. So shards weigh between that and twice as much. An entry weighs 1, a file of 64 KiB or more 4, of
 * 256 KiB 16 and so on; files of more than three times the least weight are cut off from what is around them.
 * The least weight is the tree's weight divided by the shards that there may be, rounded up to one of four
 * steps for each power of two.
 *
 * The cuts depend on paths and magnitudes of sizes, not on what the tree was before, nor on the machine. A
 * file that changes moves no cut unless its size does by a factor; one that comes or goes moves a cut only if
 * it is where one was or would have been, or takes the tree's weight to another step. No gap between a
 * directory and its first entry is cut.
 */
export class CutFinder {
  /** Of the gap before each entry; 0 if it is never cut. */
  #priorities = new Uint32Array(1024);
  /** Weight of all entries before each. */
  #sums = new Float64Array(1025);
  #count = 0;
  #before: ManifestEntry | undefined;

  /** Counts one more entry. */
  add(entry: ManifestEntry): void {
    const index = this.#count;
    if (index === this.#priorities.length) this.#grow();
    const before = this.#before;
    const isFirstIn =
      before !== undefined && isDirectoryMode(before.mode) && isBelow(entry.path, before.path);
    this.#priorities[index] = before === undefined || isFirstIn ? 0 : pathHash(entry.path) || 1;
    this.#sums[index + 1] = (this.#sums[index] ?? 0) + weightOf(entry);
    this.#before = entry;
    this.#count = index + 1;
  }

  /** Indices of the entries that shards after the first begin with, for at most so many shards. */
  find(maxShards: number): readonly number[] {
    const total = this.#sums[this.#count] ?? 0;
    const least = Math.max(leastWeight, roundUp(Math.ceil(total / maxShards)));
    const cuts: number[] = [];
    let start = 0;
    for (let index = 0; index < this.#count; index += 1) {
      if (this.#weight(index, index + 1) < aloneFrom * least) continue;
      if (index > start) this.#split(start, index, least, cuts);
      if (index > 0 && cuts.at(-1) !== index) cuts.push(index);
      if (index + 1 < this.#count) cuts.push(index + 1);
      start = index + 1;
    }
    if (start < this.#count) this.#split(start, this.#count, least, cuts);
    return cuts;
  }

  /** Cuts a part of the tree, and adds where to `cuts`, in order. */
  #split(start: number, end: number, least: number, cuts: number[]): void {
    if (this.#weight(start, end) < 2 * least) return;
    let best = 0;
    let priority = 0;
    for (let index = start + 1; index < end; index += 1) {
      const own = this.#priorities[index] ?? 0;
      if (own <= priority || this.#weight(start, index) < least || this.#weight(index, end) < least) continue;
      best = index;
      priority = own;
    }
    if (priority === 0) return;
    this.#split(start, best, least, cuts);
    cuts.push(best);
    this.#split(best, end, least, cuts);
  }

  #weight(start: number, end: number): number {
    return (this.#sums[end] ?? 0) - (this.#sums[start] ?? 0);
  }

  #grow(): void {
    const priorities = new Uint32Array(2 * this.#count);
    priorities.set(this.#priorities);
    this.#priorities = priorities;
    const sums = new Float64Array(2 * this.#count + 1);
    sums.set(this.#sums);
    this.#sums = sums;
  }
}

/** What an entry weighs: as long as none of them does otherwise, a tree is cut in the same places. */
export function weightOf(entry: ManifestEntry): number {
  if (!isRegularMode(entry.mode) || isHardLink(entry)) return 1;
  let weight = 1;
  for (let rest = entry.size / weightUnit; rest >= 4; rest /= 4) weight *= 4;
  return weight;
}

/** The next of four steps from each power of two to the next. */
function roundUp(weight: number): number {
  let power = 1;
  while (power * 2 <= weight) power *= 2;
  return power + Math.ceil(((weight - power) * 4) / power) * (power / 4);
}

function isBelow(path: string, directory: string): boolean {
  return path.charCodeAt(directory.length) === 0x2f && path.startsWith(directory);
}

/**
 * FNV-1a over UTF-16 units, then the last steps of MurmurHash3, without which high bits of short paths are
 * alike.
 */
function pathHash(path: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < path.length; at += 1) hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
