import type { Platform } from "../oci/platform.js";
import type { Cause } from "./cause.js";
import type { StepFingerprint } from "./step-input.js";

/** How one step of a build ended. */
export interface StepRecord {
  readonly index: number;
  readonly id: string;
  readonly title: string;
  /** `config` = the step made no op; `unused` = the daemon never reached it (nothing needed it). */
  readonly outcome: "cached" | "ran" | "failed" | "canceled" | "config" | "unused";
  readonly durationMs: number;
  /** Why it ran; `undefined` for a step that did not run, and where nothing is recorded (`KILN_CACHE=off`). */
  readonly cause?: Cause | undefined;
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
  /** The build's id: the daemon's too (its history key), unless nothing was solved. */
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

/** A build as the index keeps it. */
export interface StoredBuild extends BuildRecord {
  /** `succeeded` also for a build that was answered without a solve. */
  readonly outcome: "succeeded" | "failed" | "canceled";
  /** The first line of the error of a build that did not succeed. */
  readonly error?: string | undefined;
  /** Nothing was solved: what it would make was there, and had been checked to be. */
  readonly verified: boolean;
  /**
   * Alike for builds of one chain in the course of its changes: a digest over where it was written (file and name of the
   * recipe, or the place of its first call) and what it is written to.
   */
  readonly lineage: string;
  /** What a person knows the chain by: the recipe's file and export, else the place of its first call. */
  readonly name: string;
  readonly fingerprints: readonly StepFingerprint[];
  /** Bytes of local files that were sent to the daemon. */
  readonly sentBytes: number;
  /** Whether all steps, or which one (by index) and those after it, were told to run whatever is cached. */
  readonly forcedFrom?: number | undefined;
}
