import type { StepRecord } from "../model/build-record.js";
import type { Facts } from "../model/facts.js";
import type { BuildResult } from "./build.js";
import type { BuildIdentity } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { checkContextOf } from "./check-context.js";
import type { LayeredTrees } from "./layered-trees.js";
import { stampOutputs } from "./output-checks.js";
import type { StoredResult, VerifiedBuild } from "./verified-build.js";

/**
 * Writes down what becomes of a build: for the next one, which may need no solve; and for people, who want to know why
 * steps ran. Never fails a build.
 */
export class BuildRecorder {
  readonly #job: BuildJob;
  #identity: BuildIdentity | undefined;
  #facts: Facts | undefined;
  #sentBytes = 0;

  constructor(job: BuildJob) {
    this.#job = job;
  }

  /** Told once it is known what the build is. */
  identified(identity: BuildIdentity, facts: Facts): void {
    this.#identity = identity;
    this.#facts = facts;
  }

  /** Told what was sent as layers. */
  sent(layers: LayeredTrees): void {
    this.#sentBytes += layers.sentBytes;
  }

  /** A build that needed no solve. */
  async verified({ result, identity, facts }: VerifiedBuild): Promise<void> {
    this.identified(identity, facts);
  }

  /** A build that was carried out; the result comes back with the causes of what ran. */
  async succeeded(result: BuildResult): Promise<BuildResult> {
    const { index, gathered } = this.#job;
    const identity = this.#identity;
    if (identity === undefined || !index.enabled) return result;
    const stamped = await stampOutputs(
      gathered.settings.outputs ?? [],
      result.outputs,
      checkContextOf(this.#job),
    );
    if (stamped.stamps !== undefined) {
      const { ref, digest, outputs, steps, exporterResponse } = result;
      const stored: StoredResult = {
        version: 1,
        ref,
        digest,
        outputs,
        stamps: stamped.stamps,
        steps,
        exporterResponse,
      };
      await index.write("results", identity.key, stored);
    }
    return result;
  }

  /** A build that came to no good end. */
  async failed(outcome: "failed" | "canceled", error: unknown, steps: readonly StepRecord[]): Promise<void> {
    void outcome;
    void error;
    void steps;
  }
}
