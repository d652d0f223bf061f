import type { EntryStat } from "./tree-builder.js";

/** Times with nothing below the second come from file systems that store no more. */
const COARSE_MS = 2000;

/**
 * Whether a stat is too young to tell a later change by it: another one in the same tick of the clock would look like this
 * one. `startedAt` = the clock when the scan began, in milliseconds.
 */
export function isTooYoung(
  { mtimeMs, ctimeMs }: Pick<EntryStat, "mtimeMs" | "ctimeMs">,
  { startedAt, tickMs }: { readonly startedAt: number; readonly tickMs: number },
): boolean {
  const coarse = mtimeMs % 1000 === 0 && ctimeMs % 1000 === 0;
  return Math.max(mtimeMs, ctimeMs) + (coarse ? Math.max(tickMs, COARSE_MS) : tickMs) > startedAt;
}
