import { KilnError } from "../../errors.js";
import { scratch } from "../../llb/state.js";
import type { Platform } from "../../oci/platform.js";
import type { BuilderVersion } from "../builder-version.js";
import type { ChainState } from "../chain-state.js";
import type { AppliedStep, Chain } from "../define-step.js";
import type { OpenStage, Stages } from "./stages.js";

/** The Dockerfile of a chain so far: what a `ChainState` stands for. */
export interface Recorded extends OpenStage {
  /** The user that the next instruction runs as; `undefined` = the base's, taken for root. */
  readonly user: string | undefined;
  /** The user that containers get; `undefined` = the base's. */
  readonly configUser: string | undefined;
  /** The shell where it is known. */
  readonly shell: readonly string[] | undefined;
  /** The CMD that the chain has set and the stage it is in: in a later one, an entrypoint would drop it. */
  readonly cmd: { readonly text: string; readonly from: string } | undefined;
  /** The config that goes with it, by which one that a step made by itself is told. */
  readonly config: ChainState["config"];
}

/** What all steps of one rendering share. */
export interface Rendering {
  readonly stages: Stages;
  /** By the state in a `ChainState`, which survives a copy of the rest. */
  readonly recorded: WeakMap<ChainState["state"], Recorded>;
  readonly platform: Platform;
  readonly builder: BuilderVersion;
  readonly baseUser: string | undefined;
  readonly contextDir: string | undefined;
  /** Devices have a form. */
  readonly knowsDevices: boolean;
  /** Content of a local file; throws where nobody reads any. */
  readonly file: (path: string, step: AppliedStep) => Uint8Array | undefined;
  readonly listing: (
    need: { path: string; patterns: readonly string[] },
    step: AppliedStep,
  ) => readonly string[];
  /** A chain that a step uses. */
  readonly chain: (image: Chain) => ChainState;
}

/** A `ChainState` for what was recorded. */
export function stateOf(
  recorded: Omit<Recorded, "config">,
  chain: ChainState,
  rendering: Rendering,
): ChainState {
  const next = { ...chain, state: scratch().dir("/") };
  rendering.recorded.set(next.state, { ...recorded, config: next.config });
  return next;
}

/** What a chain's state stands for. Throws `ERR_KILN_UNSUPPORTED` for one that a step has made by itself. */
export function recordedOf(chain: ChainState, step: AppliedStep, rendering: Rendering): Recorded {
  const recorded = rendering.recorded.get(chain.state);
  if (recorded !== undefined && recorded.config === chain.config) return recorded;
  const what = recorded === undefined ? "adds ops of its own" : "changes the config by itself";
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `${step.title}: the step ${step.id} ${what}: no Dockerfile shows it`,
    {
      hint: "Write the step with the context's helpers (run, copyTree, copyImage, configure).",
      location: step.location,
    },
  );
}

/** The name of the stage that a chain's image is, which is closed for it. */
export function nameStage(recorded: Recorded, stages: Stages): string {
  const complete = withUser(recorded);
  if (complete.lines === undefined && stages.has(complete.from)) return complete.from;
  return stages.add(stages.newName("kiln"), complete);
}

/** The stage with the user that containers get. */
export function withUser<T extends Recorded>(recorded: T): T {
  const { user, configUser, lines } = recorded;
  if (configUser === undefined || configUser === user) return recorded;
  return { ...recorded, lines: { before: lines, text: `USER ${configUser}` }, user: configUser };
}

/** A chain before its base. */
export function emptyChain(): ChainState {
  return {
    state: scratch(),
    base: undefined,
    config: {},
    history: [],
    cmdSet: false,
    force: false,
  };
}

/** Whether no part of an instruction reads a path as anything but itself. */
export function isPlainPath(path: string): boolean {
  return /^[A-Za-z0-9_./:@+%~-]+$/.test(path);
}
