import { posix } from "node:path";
import type { Healthcheck } from "../oci/image-config.js";
import { type ChainState, envOf, withConfig, withEmptyHistory } from "./chain-state.js";
import { expandEnv } from "./expand-env.js";
import { shellQuote } from "./shell-quote.js";

/** A change of an image's config, as a Dockerfile's instructions make them. */
export type ConfigChange =
  /** With `expand`, values expand against the environment before the change. */
  | {
      readonly kind: "env";
      readonly entries: readonly (readonly [string, string])[];
      readonly expand: boolean;
    }
  /** A relative path joins the current one. */
  | { readonly kind: "workdir"; readonly path: string }
  | { readonly kind: "user"; readonly user: string }
  | { readonly kind: "label"; readonly entries: readonly (readonly [string, string])[] }
  /** `[]` clears it. */
  | { readonly kind: "entrypoint"; readonly argv: readonly string[] }
  /** `[]` clears it. One that is `inherited` goes, as if the base had it, once an entrypoint is set. */
  | { readonly kind: "cmd"; readonly argv: readonly string[]; readonly inherited?: boolean | undefined }
  | { readonly kind: "shell"; readonly argv: readonly string[] }
  /** E.g. `8080/tcp`. */
  | { readonly kind: "expose"; readonly ports: readonly string[] }
  | { readonly kind: "healthcheck"; readonly check: Healthcheck };

/** The chain after a change of its config, with a line of history. Pure. */
export function applyConfig(chain: ChainState, change: ConfigChange): ChainState {
  switch (change.kind) {
    case "env":
      return applyEnv(chain, change.entries, change.expand);
    case "workdir": {
      const WorkingDir = posix.resolve("/", chain.config.WorkingDir ?? "/", change.path);
      const next = withConfig({ ...chain, state: chain.state.dir(WorkingDir) }, { WorkingDir });
      return withEmptyHistory(next, `WORKDIR ${WorkingDir}`);
    }
    case "user":
      return withEmptyHistory(withConfig(chain, { User: change.user }), `USER ${change.user}`);
    case "label": {
      const Labels = { ...chain.config.Labels, ...Object.fromEntries(change.entries) };
      const line = change.entries.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(" ");
      return withEmptyHistory(withConfig(chain, { Labels }), `LABEL ${line}`);
    }
    case "entrypoint": {
      // As in Docker: a command of the base goes with its entrypoint, one that this chain set stays.
      const Entrypoint = change.argv.length === 0 ? undefined : change.argv;
      const next = withConfig(chain, { Entrypoint, ...(chain.cmdSet ? {} : { Cmd: undefined }) });
      return withEmptyHistory(next, `ENTRYPOINT ${JSON.stringify(change.argv)}`);
    }
    case "cmd": {
      const Cmd = change.argv.length === 0 ? undefined : change.argv;
      return withEmptyHistory(
        withConfig({ ...chain, cmdSet: change.inherited !== true }, { Cmd }),
        `CMD ${JSON.stringify(change.argv)}`,
      );
    }
    case "shell":
      return withEmptyHistory(
        withConfig(chain, { Shell: change.argv }),
        `SHELL ${JSON.stringify(change.argv)}`,
      );
    case "expose": {
      const added = Object.fromEntries(change.ports.map((port) => [port, {}]));
      const ExposedPorts = { ...chain.config.ExposedPorts, ...added };
      return withEmptyHistory(withConfig(chain, { ExposedPorts }), `EXPOSE ${change.ports.join(" ")}`);
    }
    case "healthcheck":
      return withEmptyHistory(
        withConfig(chain, { Healthcheck: change.check }),
        `HEALTHCHECK ${JSON.stringify(change.check.Test ?? [])}`,
      );
    default:
      return change satisfies never;
  }
}

function applyEnv(
  chain: ChainState,
  entries: readonly (readonly [string, string])[],
  expand: boolean,
): ChainState {
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
}
