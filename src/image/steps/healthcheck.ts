import { checkOptions } from "../../internal/check-options.js";
import type { Healthcheck } from "../../oci/image-config.js";
import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";

/** Options of `healthcheck`. What is left out is the container runtime's default. */
export interface HealthcheckOptions {
  /** Milliseconds between checks. */
  readonly intervalMs?: number | undefined;
  /** Milliseconds after which a check has failed. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds in which failed checks do not count. */
  readonly startPeriodMs?: number | undefined;
  /** Milliseconds between checks in the start period. */
  readonly startIntervalMs?: number | undefined;
  /** How many failures in a row make a container unhealthy. */
  readonly retries?: number | undefined;
}

/** Input of the `healthcheck` step. */
export interface HealthcheckInput {
  /** A command for the image's shell, an argv, or `"none"` to drop the base's check. */
  readonly test: string | readonly string[];
  readonly options: HealthcheckOptions | undefined;
}

const durations = {
  Interval: "intervalMs",
  Timeout: "timeoutMs",
  StartPeriod: "startPeriodMs",
  StartInterval: "startIntervalMs",
} as const;

/** Sets how a runtime checks that a container is well, as Docker's HEALTHCHECK does. */
export const healthcheck: Step<HealthcheckInput> = defineStep({
  id: "healthcheck",
  version: 1,
  validate({ test, options }: HealthcheckInput): Healthcheck {
    checkOptions("healthcheck", options, [...Object.values(durations), "retries"]);
    const Test = checkTest(test);
    if (Test[0] === "NONE") return { Test };
    const times = Object.entries(durations).flatMap(([field, key]) => {
      const value = options?.[key];
      if (value === undefined) return [];
      // Docker takes no durations under a millisecond.
      if (typeof value === "number" && Number.isFinite(value) && value >= 1) {
        return [[field, Math.round(value * 1_000_000)] as const];
      }
      throw argumentError("healthcheck", `${key} must be milliseconds, got ${describe(value)}`, {
        hint: `E.g. ${key}: 30_000; at least 1.`,
      });
    });
    const retries = options?.retries;
    if (retries !== undefined && !(Number.isInteger(retries) && retries >= 1)) {
      throw argumentError("healthcheck", `retries must be a whole number from 1, got ${describe(retries)}`, {
        hint: "E.g. retries: 3.",
      });
    }
    return { Test, ...Object.fromEntries(times), ...(retries === undefined ? {} : { Retries: retries }) };
  },
  title: ({ Test = [] }) => `healthcheck ${Test.slice(1).join(" ") || "none"}`,
  lower: (chain, check, context) => context.configure(chain, { kind: "healthcheck", check }),
});

function checkTest(test: unknown): readonly string[] {
  if (test === "none") return ["NONE"];
  if (typeof test === "string" && test.trim() !== "" && !test.includes("\0")) return ["CMD-SHELL", test];
  if (
    Array.isArray(test) &&
    test.length > 0 &&
    test.every((item) => typeof item === "string" && item !== "")
  ) {
    return ["CMD", ...(test as string[])];
  }
  throw argumentError("healthcheck", `needs a command, got ${describe(test)}`, {
    hint: 'Write healthcheck("curl -f localhost:8080"), healthcheck(["/probe"]) or healthcheck("none").',
  });
}
