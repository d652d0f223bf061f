import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { tellingVersion } from "../../internal/file-stamp.js";

/** All that is in a directory, by what `lstat` shows: plain JSON. */
export interface DirectoryStamp {
  /** Over paths, kinds, modes, owners, sizes, and of files inodes and times. */
  readonly digest: string;
  /** Files, directories and all else below it. */
  readonly count: number;
  /** Each of them, where they are few: what differs can then be named. */
  readonly entries?: Readonly<Record<string, string>> | undefined;
}

/** What a walk of a directory found. */
export interface ScannedDirectory extends DirectoryStamp {
  /** A path whose change might not show in the stamp, if there is one. */
  readonly unsettled: string | undefined;
}

/** Options of a {@link DirectoryScanner}. */
export interface DirectoryScanOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: (() => number) | undefined;
}

/** Walks a directory. Rejects with the file system's error, a `RangeError` for too many entries, or the signal's reason. */
export type DirectoryScanner = (dir: string, options?: DirectoryScanOptions) => Promise<ScannedDirectory>;

const entryLimit = 1_000_000;

/** More are told apart by the digest alone. */
const namedEntries = 1_000;

/** How long the walk keeps the event loop. */
const sliceMs = 8;

/** The {@link DirectoryScanner} that reads every `lstat`, in order, and no content. Links are not followed. */
export const scanDirectory: DirectoryScanner = async (dir, { signal, now = Date.now } = {}) => {
  const hash = createHash("sha256");
  const entries: [string, string][] = [];
  let count = 0;
  let unsettled: string | undefined;
  const pending = [""];
  let began = performance.now();
  for (let below = pending.pop(); below !== undefined; below = pending.pop()) {
    signal?.throwIfAborted();
    const names = readdirSync(join(dir, below)).sort();
    const directories: string[] = [];
    for (const name of names) {
      const path = below === "" ? name : `${below}/${name}`;
      const stat = lstatSync(join(dir, path), { bigint: true });
      const line = lineOf(stat);
      hash.update(`${path}\0${line}\0`);
      count += 1;
      if (count > entryLimit) throw new RangeError(`${dir} has more than ${entryLimit} entries`);
      if (entries.length <= namedEntries) entries.push([path, line]);
      if (stat.isDirectory()) directories.push(path);
      else if (tellingVersion(stat, now()) === undefined) unsettled = path;
      if (performance.now() - began < sliceMs) continue;
      await nextTurn();
      began = performance.now();
    }
    pending.push(...directories.reverse());
  }
  return {
    ...{ digest: hash.digest("hex"), count, unsettled },
    ...(count <= namedEntries ? { entries: Object.fromEntries(entries) } : {}),
  };
};

/** Why a directory is not as it was stamped, in words; `undefined` if it is. */
export function directoryDifference(before: DirectoryStamp, now: DirectoryStamp): string | undefined {
  if (before.digest === now.digest && before.count === now.count) return undefined;
  if (before.entries === undefined || now.entries === undefined) {
    return before.count === now.count
      ? "was changed"
      : `has ${now.count} entries in place of ${before.count}`;
  }
  const [old, fresh] = [new Map(Object.entries(before.entries)), new Map(Object.entries(now.entries))];
  for (const [path, line] of old) {
    const found = fresh.get(path);
    if (found === undefined) return `lacks ${path}`;
    if (found !== line) return `has another ${path}`;
  }
  const added = [...fresh.keys()].find((path) => !old.has(path));
  return added === undefined ? "was changed" : `has ${added} as well`;
}

/** A directory's own times say no more than its entries do. */
function lineOf(stat: BigIntStats): string {
  const what = [stat.mode, stat.uid, stat.gid];
  if (stat.isDirectory()) return what.join(" ");
  return [...what, stat.size, stat.ino, stat.mtimeNs, stat.ctimeNs, stat.rdev].join(" ");
}
