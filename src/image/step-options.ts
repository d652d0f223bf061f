import { checkOptions } from "../internal/check-options.js";
import { argumentError, describe } from "./check-args.js";
import { Secret } from "./secret.js";

/** Options of every step that runs something. */
export interface StepOptions {
  /** What progress and errors call the step; default: the method and its arguments. */
  readonly name?: string | undefined;
  /** Environment of this step alone: not kept in the image. `undefined` and `null` values are left out. */
  readonly env?: Readonly<Record<string, string | null | undefined>> | undefined;
  /** Secrets whose values the step's commands get as environment variables. Changing a value reruns nothing but `versioned()`. */
  readonly secrets?: readonly Secret[] | undefined;
  /**
   * A device that the step's commands run with: a CDI name (`vendor.com/gpu=0`), which is part of the step's identity. A
   * model such as `"H100"` is recorded, and refused by builds until they can choose a worker by it.
   */
  readonly gpu?: string | undefined;
  /**
   * Run the step, and all after it, though they are cached; later builds get what they make. Default false; a build's
   * own `forceBuild` does it for the whole chain.
   */
  readonly forceBuild?: boolean | undefined;
  /** The build fails with `ERR_KILN_STEP_TIMEOUT` once the step's commands have run this long. Default no limit. */
  readonly timeoutMs?: number | undefined;
  /**
   * A PEM file of the certificates that the step's programs trust (apt, curl, git, Node, pip, uv, OpenSSL), in place of
   * the build's `caBundle`; `false` = those of the image. Its content is in no image and no cache key.
   */
  readonly caBundle?: string | false | undefined;
}

/** Keys of {@link StepOptions}. */
export const stepOptionKeys: readonly string[] = [
  ...["name", "env", "secrets", "gpu", "forceBuild", "timeoutMs", "caBundle"],
];

/** {@link StepOptions} checked. */
export interface CheckedStepOptions {
  readonly name: string | undefined;
  readonly env: readonly (readonly [string, string])[];
  readonly secrets: readonly Secret[];
  readonly gpu: string | undefined;
  readonly forceBuild: boolean;
  readonly timeoutMs: number | undefined;
  readonly caBundle: string | false | undefined;
}

/** Whether a text is the full name of a CDI device, `vendor/class=name`. */
export function isCdiName(gpu: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*=[A-Za-z0-9][\w.:-]*$/.test(gpu);
}

/**
 * Checks the options of a step that runs commands: the common ones here, and that there are no others than these and
 * `moreKeys`, which are for the step to check.
 *
 * Throws `ERR_KILN_UNKNOWN_OPTION` or `ERR_KILN_INVALID_ARGUMENT` with the user's call site.
 */
export function checkStepOptions(
  call: string,
  options: StepOptions | undefined,
  moreKeys: readonly string[] = [],
): CheckedStepOptions {
  checkOptions(call, options, [...stepOptionKeys, ...moreKeys]);
  const name = options?.name;
  if (name !== undefined && (typeof name !== "string" || name.trim() === "" || /[\n\0]/.test(name))) {
    throw argumentError(call, `name must be one line of text, got ${describe(name)}`, {
      hint: 'E.g. name: "install the models".',
    });
  }
  return {
    name,
    env: checkEnv(`${call}: env`, options?.env ?? {}),
    secrets: checkSecrets(call, options?.secrets ?? []),
    gpu: checkGpu(call, options?.gpu),
    forceBuild: checkFlag(call, "forceBuild", options?.forceBuild, false),
    timeoutMs: checkTimeout(call, options?.timeoutMs),
    caBundle: checkCaBundle(call, options?.caBundle),
  };
}

/** Checks an option that is true or false. */
export function checkFlag(call: string, key: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === "boolean") return value;
  throw argumentError(call, `${key} must be true or false, got ${describe(value)}`, {
    hint: `Write ${key}: ${String(!fallback)}.`,
  });
}

function checkTimeout(call: string, timeoutMs: unknown): number | undefined {
  if (timeoutMs === undefined) return undefined;
  // A longer timer than 2^31-1 ms would fire at once.
  if (typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= 2_147_483_647) return timeoutMs;
  throw argumentError(call, `timeoutMs must be milliseconds, got ${describe(timeoutMs)}`, {
    hint: "E.g. timeoutMs: 10 * 60_000 for ten minutes; 2147483647 (24 days) at most.",
  });
}

/** Checks the path of a bundle of certificates, or `false` for none. */
export function checkCaBundle(call: string, path: unknown): string | false | undefined {
  if (path === undefined || path === false) return path;
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return path;
  throw argumentError(call, `caBundle must be the path of a PEM file, got ${describe(path)}`, {
    hint: 'Write caBundle: "/etc/ssl/certs/ca-certificates.crt", or false for the image\'s own.',
  });
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
    if (key === "" || /[=\0\n]/.test(key)) {
      throw argumentError(call, `${JSON.stringify(key)} is no variable's name`, {
        hint: "A name is not empty and has no =, NUL or line break.",
      });
    }
    if (typeof value !== "string") {
      throw argumentError(call, `the value of ${key} must be a string, got ${describe(value)}`, {
        hint: `Write ${key}: ${JSON.stringify(String(value))}.`,
      });
    }
    if (value.includes("\0")) {
      throw argumentError(call, `the value of ${key} holds a NUL character`, {
        hint: "No environment can hold one.",
      });
    }
    entries.push([key, value]);
  }
  return entries;
}
