import type { Platform } from "../oci/platform.js";

/** How one step of a build ended. */
export interface StepRecord {
  readonly index: number;
  readonly id: string;
  readonly title: string;
  /** `config` = the step made no op; `unused` = the daemon never reached it (nothing needed it). */
  readonly outcome: "cached" | "ran" | "failed" | "canceled" | "config" | "unused";
  readonly durationMs: number;
}

/** One thing that a build wrote. */
export interface OutputRecord {
  readonly type: "registry" | "docker-image" | "oci" | "docker" | "local" | "tar" | "published";
  /** Image name, directory or file, as asked for. */
  readonly target: string;
  /** Digest of the manifest or index, where the output has one; in Docker's classic store the image's id. */
  readonly digest: string | undefined;
}

/** A finished build: what ran, what it made and how long that took. */
export interface BuildRecord {
  /** The daemon's id of the build (its history key). */
  readonly ref: string;
  readonly platform: Platform;
  /** Address of the daemon that built it. */
  readonly daemon: string;
  /** Digest of the image, if an output made one. */
  readonly digest: string | undefined;
  readonly outputs: readonly OutputRecord[];
  readonly steps: readonly StepRecord[];
  /** Milliseconds since 1970 by the client's clock. */
  readonly startedAt: number;
  readonly durationMs: number;
}
