import { checkOptions } from "../../internal/check-options.js";
import { envOf, withConfig, withEmptyHistory } from "../chain-state.js";
import { argumentError } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { expandEnv } from "../expand-env.js";
import { shellQuote } from "../shell-quote.js";
import { checkEnv } from "./step-options.js";

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
    const expand = options?.expand ?? true;
    if (typeof expand !== "boolean") throw argumentError("env", "expand must be true or false");
    return { entries: checkEnv("env", vars), expand };
  },
  title: ({ entries }) => `env ${entries.map(([key]) => key).join(" ")}`,
  lower(chain, { entries, expand }, _context) {
    const before = envOf(chain.config);
    const values = new Map(before);
    let { state } = chain;
    for (const [key, value] of entries) {
      const expanded = expand ? expandEnv(value, before) : value;
      values.set(key, expanded);
      state = state.addEnv(key, expanded);
    }
    const Env = [...values].map(([key, value]) => `${key}=${value}`);
    const line = entries.map(([key]) => `${key}=${shellQuote(values.get(key) ?? "")}`).join(" ");
    return withEmptyHistory(withConfig({ ...chain, state }, { Env }), `ENV ${line}`);
  },
});
