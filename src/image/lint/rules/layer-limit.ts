import type { Rule } from "../rule.js";

/** Layers that overlayfs and Docker's stores stack at most. */
const limit = 127;
const warnFrom = 110;

/** A chain that comes near the number of layers that can be stacked; the base's own count where they are given. */
export const layerLimit: Rule = {
  id: "layer-limit",
  severity: "warning",
  check({ steps, nested, baseLayers }) {
    if (nested) return [];
    let count = baseLayers;
    let reached: number | undefined;
    for (const [index, { layers }] of steps.entries()) {
      count += layers;
      if (count >= warnFrom) reached ??= index;
    }
    if (reached === undefined) return [];
    const beside = baseLayers === 0 ? ", beside those of the base" : `, ${baseLayers} of them of the base`;
    return [
      {
        step: reached,
        severity: count > limit ? "error" : "warning",
        message: `the chain makes ${count} layers${beside}; ${limit} can be stacked`,
        hint: "Join commands of a step with && and files in one addLocalDir, or copy what counts: copyFrom(built, …).",
      },
    ];
  },
};
