import type { Cause } from "./cause.js";

/** What a step is expected to do. */
export interface StepForecast {
  readonly index: number;
  readonly id: string;
  readonly title: string;
  /** `config` = the step makes no op. */
  readonly expect: "cached" | "run" | "config";
  /** Why it will run; `undefined` for a step that will not. */
  readonly cause?: Cause | undefined;
  /** Milliseconds by earlier builds: 0 for a step that will not run, `undefined` if it never ran. */
  readonly expectedMs: number | undefined;
}

/** What of a local tree goes to the daemon. */
export interface TreeForecast {
  /** As the user wrote it. */
  readonly path: string;
  /** `local`: file by file; `layers`: as layers that were made here; `none`: nothing is sent. */
  readonly way: "local" | "layers" | "none";
  /** `undefined` = not known. */
  readonly bytes: number | undefined;
}

/** What a build would do, as far as that can be told before it. */
export interface Forecast {
  /** Address of the daemon that it is for. */
  readonly daemon: string;
  readonly steps: readonly StepForecast[];
  /** Steps that will run. */
  readonly runs: number;
  /** Steps that will run of which nobody knows how long they take. */
  readonly unknown: number;
  /** Milliseconds for all others that will run. */
  readonly expectedMs: number;
  readonly trees: readonly TreeForecast[];
  /** Bytes of all trees; `undefined` if those of one are not known. */
  readonly bytesToSend: number | undefined;
  /** Nothing would be solved: what the build makes is there already. */
  readonly noop: boolean;
}
