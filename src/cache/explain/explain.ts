import type { StepRecord } from "../../model/build-record.js";
import type { Cause } from "../../model/cause.js";
import type { ContentDiffs } from "./input-changes.js";
import type { ComparedBuild } from "./known-results.js";
import type { StepCauses } from "./step-causes.js";
import { stepChanges } from "./step-changes.js";
import { resultsOf } from "./step-keys.js";

/** Why each step of a build ran, by its index: of those that ran, failed, or were cancelled. */
export function explainSteps(
  outcomes: readonly StepRecord[],
  causes: StepCauses,
): ReadonlyMap<number, Cause> {
  const began = outcomes.filter(({ outcome }) => ["ran", "failed", "canceled"].includes(outcome));
  return new Map(began.map(({ index }) => [index, causes.causeOf(index)]));
}

/**
 * What makes each step of a build another one than in a build before, by its index. Steps that are the same, or make the
 * same files, have no entry.
 */
export async function explainChanges(
  before: Pick<ComparedBuild, "fingerprints">,
  after: Pick<ComparedBuild, "fingerprints">,
  diffs: ContentDiffs = {},
): Promise<ReadonlyMap<number, Cause>> {
  const { causes } = await stepChanges(before.fingerprints, after.fingerprints, diffs);
  const made = new Set(before.fingerprints.flatMap(resultsOf));
  return new Map(
    after.fingerprints.flatMap((step, index) => {
      const cause = causes[index];
      const results = resultsOf(step);
      return cause === undefined || (results.length > 0 && results.every((result) => made.has(result)))
        ? []
        : [[index, cause] as const];
    }),
  );
}
