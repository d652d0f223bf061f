import { checkOptions } from "../../internal/check-options.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { shellQuote } from "../shell-quote.js";
import { checkEnv, checkFlag } from "../step-options.js";

/** Options of `env`. */
export interface EnvOptions {
  /** Expand `$NAME` and `${NAME}` against the image's environment. Default true. */
  readonly expand?: boolean | undefined;
}

/** Input of the `env` step. */
export interface EnvInput {
  readonly vars: Readonly<Record<string, string>>;
  readonly options: EnvOptions | undefined;
}

/**
 * Sets environment variables for later steps and for containers of the image.
 *
 * Values of one call expand against the environment before that call, as in one ENV line of a Dockerfile.
 */
export const env: Step<EnvInput> = defineStep({
  id: "env",
  version: 1,
  validate({ vars, options }: EnvInput) {
    checkOptions("env", options, ["expand"]);
    return { entries: checkEnv("env", vars), expand: checkFlag("env", "expand", options?.expand, true) };
  },
  title: ({ entries }) => `env ${entries.map(([key]) => key).join(" ")}`,
  lower: (chain, { entries, expand }, context) => context.configure(chain, { kind: "env", entries, expand }),
  traits: ({ entries }) => ({ env: Object.fromEntries(entries) }),
  modal: ({ entries }) => [modalLayer(entries.map(([key, value]) => `ENV ${key}=${shellQuote(value)}`))],
});
