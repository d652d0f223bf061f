import { argumentError, describe } from "../check-args.js";

/** Options of every step that runs something. */
export interface StepOptions {
  /** What progress and errors call the step; default: the method and its arguments. */
  readonly name?: string | undefined;
  /** Environment of this step alone: not kept in the image. `undefined` and `null` values are left out. */
  readonly env?: Readonly<Record<string, string | null | undefined>> | undefined;
}

/** Keys of {@link StepOptions}. */
export const stepOptionKeys: readonly string[] = ["name", "env"];

/** {@link StepOptions} checked. */
export interface CheckedStepOptions {
  readonly name: string | undefined;
  readonly env: readonly (readonly [string, string])[];
}

/** Checks the common options of a step. */
export function checkStepOptions(call: string, options: StepOptions | undefined): CheckedStepOptions {
  const name = options?.name;
  if (name !== undefined && (typeof name !== "string" || name.trim() === "" || /[\n\0]/.test(name))) {
    throw argumentError(call, `name must be one line of text, got ${describe(name)}`);
  }
  return { name, env: checkEnv(`${call}: env`, options?.env ?? {}) };
}

/** Checks environment variables; entries keep the order in which they were written. */
export function checkEnv(call: string, env: unknown): readonly (readonly [string, string])[] {
  if (typeof env !== "object" || env === null || Array.isArray(env)) {
    throw argumentError(call, `needs an object of names and values, got ${describe(env)}`, {
      hint: 'Write env({ NAME: "value" }).',
    });
  }
  const entries: (readonly [string, string])[] = [];
  for (const [key, value] of Object.entries(env)) {
    if (value === null || value === undefined) continue;
    if (key === "" || /[=\0\n]/.test(key))
      throw argumentError(call, `${JSON.stringify(key)} is no variable's name`);
    if (typeof value !== "string") {
      throw argumentError(call, `the value of ${key} must be a string, got ${describe(value)}`, {
        hint: `Write ${key}: ${JSON.stringify(String(value))}.`,
      });
    }
    if (value.includes("\0")) throw argumentError(call, `the value of ${key} holds a NUL character`);
    entries.push([key, value]);
  }
  return entries;
}
