import type { Cause } from "../../model/cause.js";
import type { StepFingerprint } from "../../model/step-input.js";
import { alignSteps } from "./align-steps.js";
import { type ContentDiffs, combined, inputChanges, packageChange } from "./input-changes.js";
import { makesFiles, resultsOf, workOf } from "./step-keys.js";

/** What makes the steps of a chain others than those of a chain before it. */
export interface StepChanges {
  /**
   * Why a step makes other files than its counterpart before, by its index; `undefined` = it makes the same, or none in both
   * chains and was written alike.
   */
  readonly causes: readonly (Cause | undefined)[];
  /** Which step of the chain before it was; `undefined` for a new one. */
  readonly before: readonly (number | undefined)[];
}

/** Compares two chains step by step. */
export async function stepChanges(
  before: readonly StepFingerprint[],
  after: readonly StepFingerprint[],
  diffs: ContentDiffs,
): Promise<StepChanges> {
  const matches = alignSteps(before, after);
  const events = removals(before, matches);
  const causes: (Cause | undefined)[] = [];
  /** Of a step whose work is another one: where that comes from, as a position among the events. */
  const origins: (Event | undefined)[] = [];
  for (const [index, step] of after.entries()) {
    const match = matches[index];
    const old = match === undefined ? undefined : before[match.before];
    const makes = makesFiles(step);
    const event = (what: string): Event => ({
      position: index,
      makes: makes || (old !== undefined && makesFiles(old)),
      sets: step.effect === "settings" || old?.effect === "settings",
      cause: { kind: "earlier-step", text: `step ${index + 1} ${step.id} before it ${what}`, step: index },
    });
    if (match === undefined || old === undefined) {
      causes.push({ kind: "new-step", text: "new step" });
      events.push(event("is new"));
      origins.push(events.at(-1));
      continue;
    }
    if (match.moved) {
      causes.push({ kind: "moved-step", text: `moved: it was step ${match.before + 1}` });
      events.push(event("was moved"));
      origins.push(events.at(-1));
      continue;
    }
    const sameWork = workOf(step) === workOf(old);
    const unlike = makes ? !sameWork : step.own !== old.own;
    const own = unlike ? combined(await inputChanges(old.inputs, step.inputs, diffs)) : undefined;
    if (own !== undefined) {
      causes.push(own);
      events.push(event("changed"));
      origins.push(events.at(-1));
      continue;
    }
    if (!makes) {
      causes.push(undefined);
      origins.push(undefined);
      continue;
    }
    const origin =
      sameWork && resultsOf(step).join() === resultsOf(old).join() ? undefined : earliest(index, !sameWork);
    if (origin !== undefined || sameWork) {
      causes.push(origin?.cause);
      origins.push(origin);
      continue;
    }
    causes.push(packageChange(old.inputs, step.inputs) ?? redefined(step));
    events.push({ ...event("changed"), filesAlone: true });
    origins.push(events.at(-1));
  }
  return { causes, before: matches.map((match) => match?.before) };

  /** The first change before a step that is one for it. */
  function earliest(index: number, settings: boolean): Event | undefined {
    const found = events.filter(
      ({ position, makes, sets, filesAlone }) =>
        position < index && (settings ? filesAlone !== true && (makes || sets) : makes),
    );
    // What an earlier step's files are others for is the reason here too.
    for (const [at, origin] of origins.slice(0, index).entries()) {
      const step = after[at];
      if (origin === undefined || step === undefined || !makesFiles(step)) continue;
      if (!settings || origin.filesAlone !== true) found.push(origin);
    }
    return found.sort((a, b) => a.position - b.position)[0];
  }
}

/** Something that makes steps after it others. */
interface Event {
  /** Index of the step; of one that is gone, between those that it was between. */
  readonly position: number;
  /** It makes files, or did. */
  readonly makes: boolean;
  /** It sets what later commands run with. */
  readonly sets: boolean;
  /** It is done otherwise, which makes no later step ask for something else. */
  readonly filesAlone?: true;
  readonly cause: Cause;
}

function removals(before: readonly StepFingerprint[], matches: ReturnType<typeof alignSteps>): Event[] {
  const stays = new Map(
    matches.flatMap((match, index) => (match?.moved === false ? [[match.before, index]] : [])),
  );
  const moved = new Set(matches.flatMap((match) => (match?.moved === true ? [match.before] : [])));
  let last = -1;
  return before.flatMap((step, index): readonly Event[] => {
    const now = stays.get(index);
    if (now !== undefined) {
      last = now;
      return [];
    }
    const what = moved.has(index) ? "was moved" : "was removed";
    const text = `step ${index + 1} ${step.id} before it ${what}`;
    return [
      {
        position: last + 0.5,
        makes: makesFiles(step),
        sets: step.effect === "settings",
        cause: { kind: "earlier-step", text, step: index },
      },
    ];
  });
}

function redefined(step: StepFingerprint): Cause {
  return { kind: "arguments", text: `${step.id} does something else now`, names: [] };
}
