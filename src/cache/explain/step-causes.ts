import type { Cause } from "../../model/cause.js";
import type { StepFingerprint } from "../../model/step-input.js";
import type { ContentDiffs } from "./input-changes.js";
import { isWay } from "./input-changes.js";
import { type ComparedBuild, comesAsLayers, type KnownAs, knownResults } from "./known-results.js";
import { type StepChanges, stepChanges } from "./step-changes.js";
import { makesFiles, resultsOf } from "./step-keys.js";

/** What a build is judged by. */
export interface JudgeOptions extends ContentDiffs {
  readonly fingerprints: readonly StepFingerprint[];
  /** The build that it is compared with: see `findPrevious`. */
  readonly previous: ComparedBuild | undefined;
  /** Recent builds of any lineage, on any daemon; {@link previous} may be among them. */
  readonly others: readonly ComparedBuild[];
  /** The first step that runs whatever is cached, with all after it; `undefined` = none is forced. */
  readonly forcedFrom: number | undefined;
  /** Address of the daemon that builds. */
  readonly daemon: string;
}

/** What is known of the steps of a build by the records of others. */
export interface StepCauses {
  /** Whether a step should be answered from the daemon's cache. `undefined` for a step that makes nothing. */
  expectsCached(index: number): boolean | undefined;
  /** Why a step runs, or ran. */
  causeOf(index: number): Cause;
}

/** Finds out why each step of a build would run, if it ran. */
export async function stepCauses(options: JudgeOptions): Promise<StepCauses> {
  const { fingerprints, previous, others, daemon } = options;
  const known = knownResults(previous === undefined ? others : [...others, previous], daemon);
  const changes: StepChanges | undefined =
    previous === undefined ? undefined : await stepChanges(previous.fingerprints, fingerprints, options);
  const forced = firstForced(fingerprints, options.forcedFrom);
  const knownAs = (step: StepFingerprint): KnownAs | undefined => {
    const found = resultsOf(step).map((result) => known.get(result));
    return found.length === 0 || found.includes(undefined)
      ? undefined
      : found.includes("had")
        ? "had"
        : "made";
  };
  const isForced = (index: number): boolean => forced !== undefined && index >= forced;
  return {
    expectsCached(index) {
      const step = fingerprints[index];
      if (step === undefined || !makesFiles(step)) return undefined;
      return !isForced(index) && knownAs(step) !== undefined;
    },
    causeOf(index) {
      const step = fingerprints[index];
      if (step === undefined) throw new RangeError(`the chain has no step ${index}`);
      if (isForced(index)) return { kind: "forced", text: "forced" };
      const as = knownAs(step);
      if (as !== undefined) return lostCause(index, as, options);
      if (previous === undefined || changes === undefined) {
        return { kind: "first-build", text: "first build of this chain" };
      }
      if (previous.daemon !== daemon) return { kind: "other-daemon", text: "first build on this daemon" };
      return (
        changes.causes[index] ??
        endedBefore(changes.before[index], previous) ?? {
          kind: "arguments",
          text: `${step.id} does something else now`,
          names: [],
        }
      );
    },
  };
}

/** Commands can be forced, and with them all that comes after one; what is before the first command cannot. */
function firstForced(fingerprints: readonly StepFingerprint[], from: number | undefined): number | undefined {
  if (from === undefined) return undefined;
  return fingerprints.find(({ index, effect = "run" }) => index >= from && effect === "run")?.index;
}

/** The daemon has had the very same, and nobody told it to make it again. */
function lostCause(index: number, as: KnownAs, { fingerprints, previous }: JudgeOptions): Cause {
  const before = fingerprints.slice(0, index + 1);
  for (const step of before) {
    const old = previous?.fingerprints[step.index];
    const way = step.inputs.find(({ name }) => isWay(name));
    const oldWay = old?.inputs.find(({ name }) => isWay(name));
    if (previous === undefined || way?.value === oldWay?.value) continue;
    const name = (way ?? oldWay)?.name ?? "";
    const path = name.replace("way of ", "");
    const text = way === undefined ? `${path} is sent file by file now` : `${path} is sent as layers now`;
    return { kind: "setting", name, text };
  }
  // What nobody can compare is not excluded.
  for (const step of before) {
    const unknown = step.inputs.find(
      ({ kind, value }) => value === "" && (kind === "tree" || kind === "base"),
    );
    if (unknown?.kind === "tree") {
      return { kind: "files", text: `${unknown.name} may have changed`, changed: 0, total: 0, paths: [] };
    }
    if (unknown !== undefined) return { kind: "base-changed", text: `${unknown.name} may have changed` };
  }
  // A daemon knows of images whose layers it never had to fetch, and has layers that it never had to unpack.
  const step = fingerprints[index];
  if (as === "had" && step !== undefined && comesAsLayers(step)) {
    return { kind: "first-build", text: "the daemon had not unpacked its layers yet" };
  }
  return { kind: "daemon-lost", text: "the daemon no longer had it" };
}

/** That the build before did not come to the end of a step that is still the same. */
function endedBefore(index: number | undefined, previous: ComparedBuild): Cause | undefined {
  if (index === undefined || previous.outcome === "succeeded") return undefined;
  const cause = (text: string): Cause => ({ kind: "failed-before", text });
  const own = previous.steps.find((record) => record.index === index);
  if (own?.outcome === "failed") return cause("it failed the last time");
  if (own?.outcome === "canceled") return cause("it was cancelled the last time");
  const failed = previous.steps.find(({ outcome }) => outcome === "failed");
  if (failed !== undefined) return cause(`step ${failed.index + 1} ${failed.id} failed the last time`);
  if (previous.outcome === "canceled") return cause("the last build was cancelled before it");
  return cause("the last build ended before it");
}
