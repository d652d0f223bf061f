import { type Dirent, opendirSync, readdirSync } from "node:fs";
import { compareNames } from "./byte-order.js";

/** A directory whose own size on disk is above this many bytes is read in pieces. */
const LARGE_DIRECTORY = 128 * 1024;
const PIECE = 512;
const SURROGATES_AND_ABOVE = /[\ud800-\uffff]/;

type Compare = (a: Dirent, b: Dirent) => number;

/**
 * Reads a directory in byte order of its names. A directory of many thousand entries is read and sorted in
 * pieces, with a `yield` after each, so that the event loop can turn meanwhile.
 *
 * @param absolute - The directory; a symlink to one is followed.
 * @param size - Its own size on disk in bytes, which tells large directories from others.
 */
export function* readSortedDirectory(
  absolute: string,
  size: number,
): Generator<void, readonly Dirent[], void> {
  if (size <= LARGE_DIRECTORY) return sortEntries(readdirSync(absolute, { withFileTypes: true }));
  const runs: Dirent[][] = [];
  const directory = opendirSync(absolute, { bufferSize: PIECE });
  try {
    let run: Dirent[] = [];
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      run.push(entry);
      if (run.length < PIECE) continue;
      runs.push(sortEntries(run));
      run = [];
      yield;
    }
    runs.push(sortEntries(run));
  } finally {
    directory.closeSync();
  }
  return yield* mergeRuns(runs);
}

/**
 * The names in a directory in byte order, without what they are; for the rest like {@link readSortedDirectory}.
 */
export function* readSortedNames(absolute: string, size: number): Generator<void, readonly string[], void> {
  if (size > LARGE_DIRECTORY) return (yield* readSortedDirectory(absolute, size)).map(({ name }) => name);
  return sortNames(readdirSync(absolute));
}

function sortNames(names: string[]): readonly string[] {
  const special = names.some((name) => SURROGATES_AND_ABOVE.test(name));
  for (let index = 1; index < names.length; index += 1) {
    const [a = "", b = ""] = [names[index - 1], names[index]];
    if (special ? compareNames(a, b) > 0 : a > b) return special ? names.sort(compareNames) : names.sort();
  }
  return names;
}

function sortEntries(entries: Dirent[]): Dirent[] {
  const compare = comparisonFor(entries);
  // The operating system's library often sorts already.
  for (let index = 1; index < entries.length; index += 1) {
    if (compare(entries[index - 1] as Dirent, entries[index] as Dirent) > 0) return entries.sort(compare);
  }
  return entries;
}

/** The engine's own comparison of strings is fast, and right as long as no name has a surrogate. */
function comparisonFor(entries: readonly Dirent[]): Compare {
  const special = entries.some((entry) => SURROGATES_AND_ABOVE.test(entry.name));
  if (special) return (a, b) => compareNames(a.name, b.name);
  return (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

function* mergeRuns(runs: readonly Dirent[][]): Generator<void, readonly Dirent[], void> {
  let level = runs;
  while (level.length > 1) {
    const merged: Dirent[][] = [];
    for (let index = 0; index < level.length; index += 2) {
      merged.push(yield* mergeTwo(level[index] ?? [], level[index + 1] ?? []));
    }
    level = merged;
  }
  return level[0] ?? [];
}

function* mergeTwo(left: readonly Dirent[], right: readonly Dirent[]): Generator<void, Dirent[], void> {
  const merged: Dirent[] = [];
  let fromLeft = 0;
  let fromRight = 0;
  while (merged.length < left.length + right.length) {
    const a = left[fromLeft];
    const b = right[fromRight];
    if (a !== undefined && (b === undefined || compareNames(a.name, b.name) <= 0)) {
      merged.push(a);
      fromLeft += 1;
    } else if (b !== undefined) {
      merged.push(b);
      fromRight += 1;
    }
    if (merged.length % PIECE === 0) yield;
  }
  return merged;
}
