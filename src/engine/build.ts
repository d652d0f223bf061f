import type { BuildRecord, StepRecord } from "../model/build-record.js";
import type { BuildEvent } from "../model/events.js";
import type { Platform } from "../oci/platform.js";
import type { IgnoredFailure } from "../solver/solve.js";
import type { SolveSettings } from "../solver/solve-settings.js";

/**
 * What `engine.build` may be told: what any solve may be, but for the local trees and layouts, which the chain names.
 *
 * Relative paths in it (outputs, local caches, secrets' files, agents' sockets) are relative to `cwd`, as the chain's.
 */
export interface BuildOptions extends Omit<SolveSettings, (typeof chainSettings)[number]> {
  /** Platform of the result, e.g. `linux/arm64`; default: the daemon's own Linux platform. */
  readonly platform?: string | Platform | undefined;
  /** What relative local paths of the chain are relative to; default: the process's working directory. */
  readonly cwd?: string | undefined;
  /**
   * Seconds since 1970 for copied files and for the image's own times. Default: the environment's
   * `SOURCE_DATE_EPOCH`, else copied files get 1980-01-01T00:00:02Z and the image keeps the daemon's times.
   */
  readonly sourceDateEpoch?: number | undefined;
  /**
   * Which epoch of built-in steps the chain means: what `debianSlim` is, which uv installs. Default: the engine's, else
   * the newest, which changes with releases of this package.
   */
  readonly builderVersion?: string | undefined;
  /**
   * A PEM file of the certificates that all steps' programs trust. Default: the engine's. A step's own `caBundle` wins.
   * Its content is in no image and no cache key.
   */
  readonly caBundle?: string | undefined;
  /**
   * Run every step though it is cached; later builds get what they make. Default: the environment's `KILN_FORCE_BUILD`
   * (or `MODAL_FORCE_BUILD`), where anything but empty, `0` and `false` is yes.
   */
  readonly forceBuild?: boolean | undefined;
  /**
   * Run every step though it is cached, while later builds still get what was cached before. Default: the environment's
   * `KILN_IGNORE_CACHE`. Wins over `forceBuild`.
   */
  readonly ignoreCache?: boolean | undefined;
  /**
   * Publishes the result under a name (`my-image`, `my-image:v2`) in the engine's `imageStore`, for `Image.fromName` and,
   * by its digest, `Image.fromId`. The name moves once the image is there whole. Deleting caches does not touch it.
   */
  readonly publish?: string | undefined;
  /**
   * What records call the build (`kiln cache ls`, `kiln explain`), and by which a build is compared with the last one of
   * its name. Default: the file and line of the chain's first call.
   */
  readonly name?: string | undefined;
}

/** Keys of {@link BuildOptions} that no solve has. */
export const buildOptionKeys: readonly string[] = [
  ...["platform", "cwd", "builderVersion", "caBundle", "forceBuild", "ignoreCache", "publish", "name"],
];

/** Settings of a solve that a chain makes by itself. */
export const chainSettings = [
  "trees",
  "layouts",
  "sharedKey",
] as const satisfies readonly (keyof SolveSettings)[];

/** How much of a build came from the daemon's cache, and the same by step. */
export interface CacheSummary {
  /** Steps that were answered from the cache. */
  readonly cached: number;
  /** Steps that ran. */
  readonly ran: number;
  readonly steps: readonly StepRecord[];
}

/** What a finished build made. */
export interface BuildResult extends BuildRecord {
  /** Nothing was solved: what the build would make was there, and was checked to be. */
  readonly verified: boolean;
  readonly cache: CacheSummary;
  /** The daemon's raw answer, e.g. `containerimage.digest`; all outputs write into the one record. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  /** What failed although the build succeeded: caches that could not be imported, or exported under `ignoreError`. */
  readonly ignoredFailures: readonly IgnoredFailure[];
}

/** A build's steps, and how many of them were cached. */
export function summaryOf(steps: readonly StepRecord[]): {
  readonly steps: readonly StepRecord[];
  readonly cache: CacheSummary;
} {
  const count = (wanted: StepRecord["outcome"]): number =>
    steps.filter(({ outcome }) => outcome === wanted).length;
  return { steps, cache: { cached: count("cached"), ran: count("ran"), steps } };
}

/**
 * A build under way: iterate it for events, await `result` for what it made.
 *
 * Iterating never throws the build's error and ends with the build; any number of iterators may run, started
 * at any time, and each sees every state event. Logs that an iterator leaves unread beyond 1 MiB are dropped
 * and counted (`logs.dropped`). `break` only stops listening: a build is cancelled by its `signal` alone.
 */
export interface Build extends AsyncIterable<BuildEvent> {
  /** The daemon's id of the build. */
  readonly ref: string;
  /**
   * Resolves with what was made; rejects with the build's error (`SolveError` for a failed step), or with
   * the signal's reason. Never an unhandled rejection when nobody looks at it.
   */
  readonly result: Promise<BuildResult>;
}
