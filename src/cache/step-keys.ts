import type { StepFingerprint } from "../model/step-input.js";

/** What a daemon knows a step's files by; `undefined` for a step that makes none. */
export function resultOf(step: StepFingerprint): string | undefined {
  return step.effect === undefined ? step.chain : step.result;
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
