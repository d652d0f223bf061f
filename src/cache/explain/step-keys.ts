import type { StepFingerprint } from "../../model/step-input.js";

/** What a daemon knows the files of a step's ops by; empty for a step that makes none. */
export function resultsOf(step: StepFingerprint): readonly string[] {
  return step.effect === undefined ? [step.chain] : (step.results ?? []);
}

/** Whether a step makes files. */
export function makesFiles(step: StepFingerprint): boolean {
  return resultsOf(step).length > 0;
}

/** What a step asks of a daemon; `undefined` for one that asks for nothing. */
export function workOf(step: StepFingerprint): string | undefined {
  return step.effect === undefined ? step.own : step.work;
}

/** Alike for steps that were written alike, whatever the settings of their builds. */
export function writtenAs(step: StepFingerprint): string {
  const inputs = step.inputs
    .filter(({ kind }) => kind !== "setting")
    .map(({ kind, name, value }) => [kind, name, value]);
  return JSON.stringify([step.id, step.version, inputs]);
}
