import type { BigIntStats } from "node:fs";

/** What tells one state of a file from another: `stat` without the time of reading. Numbers in decimal, times in ns. */
export interface FileVersion {
  readonly device: string;
  readonly inode: string;
  readonly size: string;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** The version that a `stat` shows. */
export function fileVersion(stat: BigIntStats): FileVersion {
  return {
    device: String(stat.dev),
    inode: String(stat.ino),
    size: String(stat.size),
    mtimeNs: String(stat.mtimeNs),
    ctimeNs: String(stat.ctimeNs),
  };
}

/** Whether two versions are of the same content, as far as `stat` can tell. */
export function sameVersion(a: FileVersion, b: FileVersion): boolean {
  return (
    a.device === b.device &&
    a.inode === b.inode &&
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs
  );
}

/** File systems stamp changes with a clock that ticks every 1–10 ms. */
const tickMs = 20;

/**
 * Milliseconds until a change of the file would get a time of its own, mostly 0: two changes in one tick look like one.
 * `undefined` if the file's times lie ahead of this machine's clock, so that nothing can be told by them.
 */
export function untilSettled(stat: BigIntStats, nowMs: number): number | undefined {
  const age = nowMs - Number(stat.ctimeNs / 1_000_000n);
  if (age < 0) return undefined;
  return Math.max(0, tickMs - age);
}
