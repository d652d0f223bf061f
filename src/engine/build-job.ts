import type { CacheIndex } from "../cache/records/cache-index.js";
import type { Chain } from "../image/define-step.js";
import type { BuildEvent } from "../model/events.js";
import type { Client } from "../solver/client.js";
import type { BuildOptions } from "./build.js";
import type { EngineSettings, Gathered } from "./inputs/gather.js";
import type { LaterWork } from "./later-work.js";
import type { ScannedInputs } from "./trees/scan-inputs.js";

/** What a build runs with. */
export interface RunBuildContext {
  /** The daemon's. */
  readonly address: string;
  /** Connects, and loads gRPC for it. */
  readonly connect: () => Promise<Client>;
  readonly engine: EngineSettings;
  readonly ref: string;
  /** Aborts when the engine is closed. */
  readonly closed: AbortSignal;
  readonly emit: (event: BuildEvent) => void;
}

/** A build whose local part is done. */
export interface BuildJob extends RunBuildContext {
  readonly image: Chain;
  readonly options: BuildOptions;
  readonly index: CacheIndex;
  readonly gathered: Gathered;
  readonly scans: ScannedInputs;
  readonly startedAt: number;
  readonly later: LaterWork;
}
