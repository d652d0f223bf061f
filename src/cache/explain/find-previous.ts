import type { StepFingerprint } from "../../model/step-input.js";
import type { ComparedBuild } from "./known-results.js";
import { resultsOf } from "./step-keys.js";

/** What a build is compared by. */
export interface FindPreviousOptions {
  readonly lineage: string;
  readonly fingerprints: readonly StepFingerprint[];
  /** Address of the daemon. */
  readonly daemon: string;
}

/**
 * The earlier build that a build is best compared with: the latest of its own lineage, one on the same daemon and for the
 * same platform before others; else the one of any lineage with the longest beginning in common, the latest of several,
 * one on the same daemon before others. `undefined` if no build has anything in common.
 *
 * Builds of which no step is recorded are only taken where there is nothing else.
 */
export function findPrevious<Build extends ComparedBuild>(
  builds: Iterable<Build>,
  { lineage, fingerprints, daemon }: FindPreviousOptions,
): Build | undefined {
  const platform = platformOf(fingerprints);
  let best: { readonly build: Build; readonly rank: readonly number[] } | undefined;
  for (const build of builds) {
    if (build.fingerprints.length === 0) continue;
    const own = build.lineage === lineage;
    const common = own ? 0 : commonSteps(build.fingerprints, fingerprints);
    if (!own && common === 0) continue;
    const rank = [
      Number(own),
      Number(build.steps.some(({ outcome }) => outcome !== "unused") || build.outcome === "succeeded"),
      own ? Number(build.daemon === daemon) : common,
      own ? Number(platformOf(build.fingerprints) === platform) : Number(build.daemon === daemon),
      build.startedAt,
    ];
    if (best === undefined || compareRanks(rank, best.rank) > 0) best = { build, rank };
  }
  return best?.build;
}

function platformOf(fingerprints: readonly StepFingerprint[]): string | undefined {
  for (const { inputs } of fingerprints) {
    const found = inputs.find(({ kind, name }) => kind === "setting" && name === "platform");
    if (found !== undefined) return found.value;
  }
  return undefined;
}

/** How many ops at the beginning make the same files. */
function commonSteps(a: readonly StepFingerprint[], b: readonly StepFingerprint[]): number {
  const [x, y] = [a, b].map((steps) => steps.flatMap(resultsOf));
  let count = 0;
  while (x?.[count] !== undefined && x[count] === y?.[count]) count += 1;
  return count;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}
