import type { StoredBuild } from "../../model/build-record.js";
import type { StepFingerprint } from "../../model/step-input.js";
import { isWay } from "./input-changes.js";
import { resultsOf } from "./step-keys.js";

/** Builds as far as comparisons look at them. */
export type ComparedBuild = Pick<
  StoredBuild,
  "ref" | "fingerprints" | "steps" | "outcome" | "lineage" | "daemon" | "platform" | "startedAt"
>;

/**
 * How sure it is that a daemon has had what a step makes: `had` = it said so, or has the layers; `made` = it made or unpacked
 * it.
 */
export type KnownAs = "had" | "made";

/** What a daemon has had at some time, by the records of builds on it: results of steps by their digests. */
export function knownResults(builds: Iterable<ComparedBuild>, daemon: string): ReadonlyMap<string, KnownAs> {
  const known = new Map<string, KnownAs>();
  for (const build of builds) {
    if (build.daemon !== daemon) continue;
    // What a command has run on is unpacked, with all that is below it.
    const lastRun = build.steps.findLastIndex(
      ({ index, outcome }) => outcome === "ran" && build.fingerprints[index]?.effect === "run",
    );
    const unpacked = build.steps[lastRun]?.index ?? -1;
    for (const record of build.steps) {
      const step = build.fingerprints[record.index];
      if (step === undefined) continue;
      // Of a build that went well, what was not needed was not missing.
      const went =
        record.outcome === "ran" ||
        record.outcome === "cached" ||
        (record.outcome === "unused" && build.outcome === "succeeded");
      if (!went) continue;
      for (const result of resultsOf(step)) {
        const made = record.outcome === "ran" && (!comesAsLayers(step) || record.index < unpacked);
        if (made) known.set(result, "made");
        else if (!known.has(result)) known.set(result, "had");
      }
    }
  }
  return known;
}

/** Whether what a step makes comes to the daemon as layers, which it may have long before it unpacks them. */
export function comesAsLayers(step: StepFingerprint): boolean {
  return step.effect === "source" || step.inputs.some(({ name }) => isWay(name));
}
