import { explainSteps } from "../cache/explain/explain.js";
import { type StepCauses, stepCauses } from "../cache/explain/step-causes.js";
import type { StepRecord, StoredBuild } from "../model/build-record.js";
import type { Facts } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import { digestHex, sha256 } from "../oci/digest.js";
import type { Platform } from "../oci/platform.js";
import { type BuildResult, summaryOf } from "./build.js";
import type { BuildIdentity } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { type BuildTraits, compareBuild } from "./build-traits.js";
import { checkContextOf } from "./outputs/check-context.js";
import { keepLayoutBlobs } from "./outputs/layout-blobs.js";
import { stampOutputs } from "./outputs/output-checks.js";
import { tellableText } from "./trees/content-diffs.js";
import { keepManifest } from "./trees/kept-manifests.js";
import { noteUpload } from "./trees/upload-record.js";
import type { StoredResult, VerifiedBuild } from "./verified-build.js";

/** A build as it is compared with others. */
interface JudgedBuild {
  readonly traits: BuildTraits;
  readonly causes: StepCauses;
}

/**
 * Writes down what becomes of a build: for the next one, which may need no solve; and for people, who want to know why
 * steps ran. Never fails a build.
 */
export class BuildRecorder {
  readonly #job: BuildJob;
  #identity: BuildIdentity | undefined;
  #facts: Facts | undefined;
  #copies: Plan["copies"] | undefined;
  #isAsked = false;
  #judged: Promise<JudgedBuild> | undefined;
  #kept: Promise<void> | undefined;
  #sentBytes = 0;

  constructor(job: BuildJob) {
    this.#job = job;
  }

  /** Told once it is known what the build is. */
  identified(identity: BuildIdentity, facts: Facts): void {
    this.#identity = identity;
    this.#facts = facts;
    this.#isAsked = false;
    this.#judged = undefined;
  }

  /** Told how the build's trees came to the daemon. */
  planned(copies: Plan["copies"]): void {
    this.#copies = copies;
    this.#judged = undefined;
  }

  /** Told that the daemon is asked to build now. */
  asked(): void {
    this.#isAsked = true;
  }

  /**
   * Told that the daemon has said something. Once it is asked to build it is at work then, and this process waits: time to
   * find out what the build is to be compared with, and to keep what the next one will be compared with.
   */
  heard(): void {
    const { index, later } = this.#job;
    const facts = this.#facts;
    if (!this.#isAsked || this.#judged !== undefined || !index.enabled || facts === undefined) return;
    this.#judged = this.#judge(facts);
    this.#kept = this.#judged.then(() => this.#keepContents(facts));
    this.#kept.catch(() => {});
    void later.run();
  }

  /** Told that bytes of local files were sent. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** A build that needed no solve: what it is compared by is that of the build which made its outputs. */
  async verified({ result, stored: { ref } }: VerifiedBuild): Promise<void> {
    const { index } = this.#job;
    const made = await index.read("builds", ref);
    if (!isStored(made)) return;
    const { outputs, steps, startedAt, durationMs, platform, daemon, digest } = result;
    const verified: StoredBuild = {
      ...made,
      ...{ ref: result.ref, outputs, steps, startedAt, durationMs, platform, daemon, digest },
      outcome: "succeeded",
      verified: true,
      sentBytes: 0,
    };
    await index.write("builds", result.ref, verified);
  }

  /** A build that was carried out; the result comes back with the causes of what ran. */
  async succeeded(result: BuildResult): Promise<BuildResult> {
    const { index, gathered, scans } = this.#job;
    const identity = this.#identity;
    if (identity === undefined || !index.enabled) return result;
    const steps = await this.#store({ ...result, outcome: "succeeded", error: undefined });
    for (const scan of scans.values()) await noteUpload(index, result.daemon, scan);
    const outputs = gathered.settings.outputs ?? [];
    const stamped = await stampOutputs(outputs, result.outputs, checkContextOf(this.#job));
    if (stamped.stamps !== undefined) {
      const { ref, digest, exporterResponse } = result;
      const { stamps } = stamped;
      const stored: StoredResult = {
        ...{ version: 1, ref, digest, outputs: result.outputs, stamps, steps, exporterResponse },
      };
      await index.write("results", identity.key, stored);
      await keepLayoutBlobs(index, stamps);
    }
    await index.autoPrune();
    return { ...result, ...summaryOf(steps) };
  }

  /** A build that came to no good end. */
  async failed(
    outcome: "failed" | "canceled",
    error: unknown,
    build: { readonly steps: readonly StepRecord[]; readonly platform: Platform; readonly daemon: string },
  ): Promise<void> {
    const { index, ref, startedAt } = this.#job;
    if (!index.enabled || this.#facts === undefined) return;
    const [line] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
    await this.#store({
      ...{ ...build, ref, startedAt, outcome, error: line, digest: undefined, outputs: [], verified: false },
      durationMs: Date.now() - startedAt,
    });
  }

  /** Keeps a build with its causes; the steps with these. */
  async #store(
    build: Omit<StoredBuild, "lineage" | "name" | "fingerprints" | "sentBytes" | "forcedFrom">,
  ): Promise<readonly StepRecord[]> {
    const { index } = this.#job;
    const facts = this.#facts;
    if (facts === undefined) return build.steps;
    try {
      const { traits, causes: ofSteps } = await (this.#judged ?? this.#judge(facts));
      await (this.#kept ?? this.#keepContents(facts));
      const causes = explainSteps(build.steps, ofSteps);
      const steps = build.steps.map((step) => {
        const cause = causes.get(step.index);
        return cause === undefined ? step : { ...step, cause };
      });
      const { ref, platform, daemon, digest, outputs, startedAt, durationMs, outcome, error, verified } =
        build;
      const kept: StoredBuild = {
        ...{ ref, platform, daemon, digest, outputs, steps, startedAt, durationMs },
        ...{ outcome, error, verified, sentBytes: this.#sentBytes },
        ...traits,
      };
      await index.write("builds", ref, kept);
      return steps;
    } catch (error) {
      // What people are told about a build must not be what fails it.
      if (process.env["KILN_DEBUG"] !== undefined) throw error;
      return build.steps;
    }
  }

  async #judge(facts: Facts): Promise<JudgedBuild> {
    const { traits, compared } = await compareBuild(this.#job, { facts, copies: this.#copies });
    return { traits, causes: await stepCauses(compared) };
  }

  /** What the fingerprints name by digests. */
  async #keepContents(facts: Facts): Promise<void> {
    const { index, scans } = this.#job;
    for (const { manifest } of new Set(scans.values())) {
      await keepManifest(index, manifest);
    }
    for (const bytes of facts.files.values()) {
      const text = tellableText(bytes);
      if (text !== undefined) await index.write("files", digestHex(sha256(bytes)), text);
    }
  }
}

function isStored(value: unknown): value is StoredBuild {
  return typeof value === "object" && value !== null && "fingerprints" in value && "lineage" in value;
}
