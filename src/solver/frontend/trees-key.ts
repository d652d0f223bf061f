import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { SolveSettings } from "../solve-settings.js";

/**
 * A shared key for trees whose names a frontend chose: every project has a `context`, and the daemon must not take its
 * copy of one for another's.
 */
export function treesKey({ trees = new Map() }: Pick<SolveSettings, "trees">): string {
  const roots = [...trees].map(([name, { root }]) => `${name}\0${root}`).sort();
  return createHash("sha256")
    .update(JSON.stringify([hostname(), roots]))
    .digest("hex");
}
