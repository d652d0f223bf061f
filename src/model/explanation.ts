import type { StepRecord } from "./build-record.js";
import type { Cause } from "./cause.js";

/** A recorded build, as far as it is shown beside what its steps did. */
export interface ExplainedBuild {
  readonly ref: string;
  /** What a person knows the chain by. */
  readonly name: string;
  readonly daemon: string;
  /** `os/arch`. */
  readonly platform: string;
  readonly outcome: "succeeded" | "failed" | "canceled";
  /** Answered without a solve. */
  readonly verified: boolean;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly durationMs: number;
}

/** What one step of a build did, and why. */
export interface ExplainedStep {
  readonly index: number;
  readonly id: string;
  readonly title: string;
  readonly outcome: StepRecord["outcome"];
  readonly durationMs: number;
  /** Why it ran; between two builds, what makes it another step than that of the first. */
  readonly cause?: Cause | undefined;
}

/** Why the steps of a build ran, or how they differ from those of another build. */
export interface Explanation {
  readonly build: ExplainedBuild;
  /** The build that it is compared with; `undefined` = the causes are those that the build itself recorded. */
  readonly against: ExplainedBuild | undefined;
  readonly steps: readonly ExplainedStep[];
}
