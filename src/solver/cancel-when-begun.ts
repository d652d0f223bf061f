import { isFrom } from "./docker-versions.js";

/** The BuildKit from which on a command stops that is cancelled before its process has begun (moby/buildkit#5106). */
const stopsFrom = "0.15";

/** How long after a vertex is said to have started its process has begun: it took 30 ms on an idle machine. */
const beginMs = 200;

/** A build of many short steps, of which one has always just started, is cancelled after so long all the same. */
const longestMs = 1_000;

/** What is known of the build that is to be cancelled. */
export interface CancelContext {
  /** `major.minor` of the daemon's BuildKit; `undefined` = it does not tell. */
  readonly buildkitVersion: string | undefined;
  /** For how long the vertex has been running that started last, in milliseconds; `undefined` = none runs. */
  readonly youngestMs: () => number | undefined;
}

/**
 * Calls `cancel` at once, or on a daemon before BuildKit 0.15 when the commands that run have begun: such a daemon says that
 * a command has started before there is a process, and one that is cancelled in between runs on to its end, which may be
 * hours, with nobody to stop it. At the latest after a second.
 *
 * Returns what takes it back, for a build that ends by itself meanwhile.
 */
export function cancelWhenBegun(context: CancelContext, cancel: () => void): () => void {
  const { buildkitVersion, youngestMs } = context;
  const until = performance.now() + longestMs;
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const age = youngestMs();
    const left = until - performance.now();
    const waitMs = age === undefined ? 0 : Math.min(beginMs - age, left);
    if (waitMs <= 0) cancel();
    else timer = setTimeout(look, waitMs);
  };
  if (isFrom(buildkitVersion, stopsFrom) === true) cancel();
  else look();
  return () => clearTimeout(timer);
}
