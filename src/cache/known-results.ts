import type { StoredBuild } from "../model/build-record.js";
import { resultsOf } from "./step-keys.js";

/** Builds as far as comparisons look at them. */
export type ComparedBuild = Pick<
  StoredBuild,
  "ref" | "fingerprints" | "steps" | "outcome" | "lineage" | "daemon" | "platform" | "startedAt"
>;

/** How sure it is that a daemon has had what a step makes: `had` = it said so, `made` = it made or fetched it. */
export type KnownAs = "had" | "made";

/** What a daemon has had at some time, by the records of builds on it: results of steps by their digests. */
export function knownResults(builds: Iterable<ComparedBuild>, daemon: string): ReadonlyMap<string, KnownAs> {
  const known = new Map<string, KnownAs>();
  for (const build of builds) {
    if (build.daemon !== daemon) continue;
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
        if (record.outcome === "ran") known.set(result, "made");
        else if (!known.has(result)) known.set(result, "had");
      }
    }
  }
  return known;
}
