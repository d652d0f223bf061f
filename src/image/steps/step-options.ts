import { argumentError, describe } from "../check-args.js";
import type { StepNeeds } from "../define-step.js";
import type { RunRequest } from "../lower-context.js";
import { Secret } from "../secret.js";

/** Options of every step that runs something. */
export interface StepOptions {
  /** What progress and errors call the step; default: the method and its arguments. */
  readonly name?: string | undefined;
  /** Environment of this step alone: not kept in the image. `undefined` and `null` values are left out. */
  readonly env?: Readonly<Record<string, string | null | undefined>> | undefined;
  /** Secrets whose values the step's commands get as environment variables. Changing a value reruns nothing. */
  readonly secrets?: readonly Secret[] | undefined;
  /**
   * A device that the step's commands run with: a CDI name (`vendor.com/gpu=0`), which is part of the step's identity. A
   * model such as `"H100"` is recorded, and refused by builds until they can choose a worker by it.
   */
  readonly gpu?: string | undefined;
}

/** Keys of {@link StepOptions}. */
export const stepOptionKeys: readonly string[] = ["name", "env", "secrets", "gpu"];

/** {@link StepOptions} checked. */
export interface CheckedStepOptions {
  readonly name: string | undefined;
  readonly env: readonly (readonly [string, string])[];
  readonly secrets: readonly Secret[];
  readonly gpu: string | undefined;
}

/** What a step that takes {@link StepOptions} needs for them, beside its own needs. */
export function optionNeeds({ secrets, gpu }: CheckedStepOptions): StepNeeds {
  return {
    secrets: Object.fromEntries(secrets.map((secret, index) => [secretKey(index), secret])),
    devices: gpu === undefined ? {} : { [deviceKey]: { gpu } },
  };
}

/** What `LowerContext.run` takes for {@link StepOptions}: every command of the step gets the same. */
export function optionRequest({
  env,
  secrets,
  gpu,
}: CheckedStepOptions): Pick<RunRequest, "env" | "secrets" | "device"> {
  return {
    env,
    secrets: secrets.map((_secret, index) => secretKey(index)),
    device: gpu !== undefined && isCdiName(gpu) ? gpu : undefined,
  };
}

const deviceKey = "gpu";

function secretKey(index: number): string {
  return `secret.${index}`;
}

/** Whether a text is the full name of a CDI device, `vendor/class=name`. */
export function isCdiName(gpu: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*=[A-Za-z0-9][\w.:-]*$/.test(gpu);
}

/** Checks the common options of a step. */
export function checkStepOptions(call: string, options: StepOptions | undefined): CheckedStepOptions {
  const name = options?.name;
  if (name !== undefined && (typeof name !== "string" || name.trim() === "" || /[\n\0]/.test(name))) {
    throw argumentError(call, `name must be one line of text, got ${describe(name)}`);
  }
  return {
    name,
    env: checkEnv(`${call}: env`, options?.env ?? {}),
    secrets: checkSecrets(call, options?.secrets ?? []),
    gpu: checkGpu(call, options?.gpu),
  };
}

function checkSecrets(call: string, secrets: unknown): readonly Secret[] {
  if (Secret.isSecret(secrets)) {
    throw argumentError(call, "secrets must be a list of secrets, got one secret", {
      hint: "Write secrets: [secret].",
    });
  }
  // Not described: what is in the place of a secret may be one.
  if (!Array.isArray(secrets) || !secrets.every((secret) => Secret.isSecret(secret))) {
    throw argumentError(call, "secrets must be a list of Secret values", {
      hint: 'E.g. secrets: [Secret.fromEnv("TOKEN")].',
    });
  }
  return [...secrets];
}

function checkGpu(call: string, gpu: unknown): string | undefined {
  if (gpu === undefined) return undefined;
  if (typeof gpu === "string" && (isCdiName(gpu) || /^[A-Za-z0-9][A-Za-z0-9-]*(?::[1-9]\d?)?$/.test(gpu))) {
    return gpu;
  }
  throw argumentError(call, `gpu must be a CDI name or a model, got ${describe(gpu)}`, {
    hint: 'Write gpu: "nvidia.com/gpu=0", or gpu: "H100", "A100-80GB:2".',
  });
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
