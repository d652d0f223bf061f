import { setMaxListeners } from "node:events";
import { planSteps } from "../image/compile.js";
import type { LayersQuestion } from "../image/layers-question.js";
import { createDeferred } from "../internal/deferred.js";
import type { OutputRecord } from "../model/build-record.js";
import type { BuildEvent, SolveEvent } from "../model/events.js";
import type { Needs } from "../model/needs.js";
import type { Plan, PlanCommand, PlanStep } from "../model/plan.js";
import { digestHex, sha256 } from "../oci/digest.js";
import type { Platform } from "../oci/platform.js";
import type { SolveAnswer } from "../solver/solve.js";
import type { SourceLock } from "../solver/source-lock/source-lock.js";
import { type BuildResult, summaryOf } from "./build.js";
import { withBase, withStep } from "./build-error.js";
import type { BuildIdentity } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { phase } from "./phase.js";
import type { BuildRecorder } from "./record-build.js";
import { type BuildLead, shareBuild } from "./share-build.js";
import { type StepTimeouts, watchTimeouts } from "./step-timeouts.js";
import { trackSteps } from "./step-tracker.js";
import { whyNotShared } from "./verified-build.js";

/** What a build is about, as far as it is known when it ends. */
export interface BuildScene {
  readonly platform: Platform;
  readonly needs: Needs;
}

/** What was made, by the daemon or here. */
export interface MadeOutputs {
  readonly outputs: readonly OutputRecord[];
  /** The daemon's answer, if it was asked for one. */
  readonly answer: SolveAnswer | undefined;
}

/** A build that has to be carried out: who does so, what becomes of its steps, and how it ends. */
export class OngoingBuild {
  readonly job: BuildJob;
  readonly recorder: BuildRecorder;
  readonly #stop = new AbortController();
  /** Aborts when this call gives the build up, which others may want. */
  readonly #leave = new AbortController();
  readonly #led = createDeferred<void>();
  readonly #commands = new Map<string, PlanCommand>();
  #tracker = trackSteps();
  /** The chain's steps, with their ops as far as they are known. */
  #steps: readonly PlanStep[] = [];
  #tell: (event: BuildEvent) => void;
  #lead: BuildLead | undefined;
  /** Another build may be what becomes of this one, and is recorded as that. */
  #follows = false;
  #announced = false;
  #timeouts: StepTimeouts | undefined;

  constructor(job: BuildJob, recorder: BuildRecorder) {
    this.job = job;
    this.recorder = recorder;
    // Everything that a build does at a time listens to it.
    setMaxListeners(0, this.#stop.signal);
    this.#tell = job.emit;
  }

  /** Aborts when the work is to stop: nobody wants it any more, or a step took too long. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether it is settled that this call carries the build out, for all who ask for it. */
  get leads(): boolean {
    return this.#lead !== undefined;
  }

  /** Has the work done. Rejects as `Engine.build`'s result does. */
  async run(work: () => Promise<BuildResult>): Promise<BuildResult> {
    const { options, closed } = this.job;
    const { signal } = options;
    signal?.throwIfAborted();
    const onClosed = (): void => this.#leave.abort(closed.reason);
    const onAbort = (): void => {
      this.#leave.abort(signal?.reason);
      // Who leads goes on as long as somebody wants the result: then the lead's signal counts.
      if (this.#lead === undefined) this.#stop.abort(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    closed.addEventListener("abort", onClosed, { once: true });
    try {
      const building = work();
      building.catch(() => {});
      await Promise.race([building, this.#led.promise]).catch(() => {});
      return await (this.#lead === undefined ? building : this.#lead.end(building));
    } finally {
      signal?.removeEventListener("abort", onAbort);
      closed.removeEventListener("abort", onClosed);
      this.#timeouts?.close();
    }
  }

  /** Tells everybody who asked for the build. */
  emit(event: BuildEvent): void {
    this.#tell(event);
  }

  /** Takes in what a daemon tells of the build, and passes it on. */
  hear(event: SolveEvent): void {
    this.#timeouts?.hear(event);
    this.#tell(this.#tracker.tag(event));
  }

  /** Says which steps there are; once. */
  announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    this.#tell({
      type: "planned",
      steps: this.job.image.steps.map(({ id, title }, at) => ({ index: at, id, title })),
      at: Date.now(),
    });
  }

  /** Becomes the one who builds this, or resolves with what another made of it. */
  async share(
    { key: identity, plan }: BuildIdentity,
    lock: SourceLock | undefined,
  ): Promise<BuildResult | undefined> {
    const { gathered, engine, emit, address } = this.job;
    const { credentials, uploads, entitlements, internal, sourceLock, pull } = gathered.settings;
    // What is this build's alone cannot be told from what another one has of it.
    if (whyNotShared(gathered) !== undefined || credentials !== undefined || uploads !== undefined) {
      return undefined;
    }
    const parts = [
      "run v1",
      identity,
      // Docker's own store and published names mean what the daemon and the engine's options say.
      ...[address, engine.images],
      // What the identity leaves out, as it makes no other image.
      {
        sourceLock,
        pull,
        lock,
        entitlements,
        internal,
        timeouts: plan.steps.map(({ timeoutMs }) => timeoutMs),
      },
    ];
    this.#follows = true;
    const shared = await shareBuild({
      ...{ cacheDir: engine.cacheDir, key: digestHex(sha256(JSON.stringify(parts))), emit },
      signal: this.#leave.signal,
    });
    if ("result" in shared) return shared.result;
    this.#follows = false;
    const { lead } = shared;
    this.#lead = lead;
    this.#tell = lead.emit;
    lead.signal.addEventListener("abort", () => this.#stop.abort(lead.signal.reason), { once: true });
    if (lead.signal.aborted) this.#stop.abort(lead.signal.reason);
    this.#led.resolve();
    return undefined;
  }

  /** A part of the chain is solved on its own, or need not be. */
  expect({ before, commands }: LayersQuestion, isSolved: boolean): void {
    if (before === undefined) return;
    const steps = planSteps(this.job.image, [before]);
    if (isSolved) this.watch({ steps, commands });
    else this.#tracker.assume(steps);
  }

  /** What is solved next are these steps. */
  watch({ steps, commands }: Pick<Plan, "steps" | "commands">): void {
    this.#steps = steps;
    this.#tracker.expect(steps);
    for (const [digest, command] of commands) this.#commands.set(digest, command);
    this.#timeouts?.close();
    const timeouts = watchTimeouts({ steps });
    this.#timeouts = timeouts;
    timeouts.signal.addEventListener("abort", () => this.#stop.abort(timeouts.signal.reason), { once: true });
  }

  /** A step was carried out here: nothing of it is solved. */
  made(step: number, outcome: "cached" | "ran", durationMs: number): void {
    this.#tracker.made(step, outcome, durationMs);
  }

  /** Forgets what was thought or heard of the steps: all is asked anew. */
  restart(): void {
    this.#tracker = trackSteps();
  }

  /** Ends it well; the result comes back with the causes of what ran. */
  async succeeded(
    { platform }: Pick<BuildScene, "platform">,
    { outputs, answer }: MadeOutputs,
  ): Promise<BuildResult> {
    const { ref, address, startedAt } = this.job;
    const result = await this.recorder.succeeded({
      ref: answer?.ref ?? ref,
      platform,
      daemon: address,
      digest: outputs.find((record) => record.digest !== undefined)?.digest,
      outputs,
      startedAt,
      durationMs: Date.now() - startedAt,
      verified: false,
      ...summaryOf(this.#tracker.records(this.#steps)),
      exporterResponse: answer?.exporterResponse ?? {},
      ignoredFailures: answer?.ignoredFailures ?? [],
    });
    this.emit(phase("done", "done"));
    return result;
  }

  /** Ends it with an error, which comes back with the place that it is about. */
  async failed({ platform, needs }: BuildScene, error: unknown): Promise<unknown> {
    const { signal } = this;
    const scene = { steps: this.#tracker.records(this.#steps), platform, daemon: this.job.address };
    if (signal.aborted) {
      await this.recorder.failed("canceled", signal.reason, scene);
      return error;
    }
    const placed = withStep(withBase(error, needs), { steps: this.#steps, commands: this.#commands });
    if (!this.#follows) await this.recorder.failed("failed", placed, scene);
    return placed;
  }
}
