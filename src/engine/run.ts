import type { BuildEvent } from "../model/events.js";

/** What `engine.run` may be told. */
export interface RunOptions {
  /** Arguments for the entrypoint; default: the image's command. */
  readonly args?: readonly string[] | undefined;
  /** Replaces the image's entrypoint; `[]` runs `args` alone. */
  readonly entrypoint?: readonly string[] | undefined;
  /** Added to the image's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Replaces the image's working directory. */
  readonly workdir?: string | undefined;
  /** Stops the command. */
  readonly signal?: AbortSignal | undefined;
}

/** A command under way: iterate it for its output (`log` events), await `result` for its end. */
export interface Run extends AsyncIterable<BuildEvent> {
  /** Rejects only when the command could not be run, or with the signal's reason. */
  readonly result: Promise<{ readonly exitCode: number }>;
}
