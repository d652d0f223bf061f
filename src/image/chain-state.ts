import type { State } from "../llb/state.js";
import type { ContainerConfig, HistoryEntry, ImageConfig } from "../oci/image-config.js";

/** The image as far as the chain has come: its files (an LLB state) and its config. Immutable. */
export interface ChainState {
  readonly state: State;
  /** What the base brought: platform, unknown keys and all. `undefined` before a base or from scratch. */
  readonly base: ImageConfig | undefined;
  readonly config: ContainerConfig;
  readonly history: readonly HistoryEntry[];
  /** A `cmd` step has run: a later `entrypoint` then keeps it. */
  readonly cmdSet: boolean;
  /** A step was forced: all that follow run again. */
  readonly force: boolean;
}

/** The shell that string commands run in when neither base nor chain names one. */
export const defaultShell: readonly string[] = ["/bin/sh", "-c"];

/** The chain with some of its config replaced. */
export function withConfig(chain: ChainState, changes: Partial<ContainerConfig>): ChainState {
  return { ...chain, config: { ...chain.config, ...changes } };
}

/** The chain with a line of history for a step that made no layer. */
export function withEmptyHistory(chain: ChainState, createdBy: string): ChainState {
  return withHistory(chain, { created_by: createdBy, comment: historyComment, empty_layer: true });
}

/** The chain with a line of history for a layer that was just added. */
export function withLayerHistory(chain: ChainState, createdBy: string): ChainState {
  return withHistory(chain, { created_by: createdBy, comment: historyComment });
}

const historyComment = "kiln";

function withHistory(chain: ChainState, entry: HistoryEntry): ChainState {
  return { ...chain, history: [...chain.history, entry] };
}

/** Environment of the image by name. */
export function envOf(config: ContainerConfig): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const entry of config.Env ?? []) {
    const equals = entry.indexOf("=");
    if (equals > 0) env.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return env;
}
