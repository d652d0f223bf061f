import { setMaxListeners } from "node:events";
import { planSteps } from "../image/compile.js";
import type { LayersQuestion } from "../image/layers-question.js";
import { createDeferred } from "../internal/deferred.js";
import { randomId } from "../internal/random-id.js";
import type { OutputRecord } from "../model/build-record.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { BuildEvent, SolveEvent } from "../model/events.js";
import type { FrontendFact } from "../model/facts.js";
import type { Plan, PlanCommand, PlanStep } from "../model/plan.js";
import { digestHex, sha256 } from "../oci/digest.js";
import type { Platform } from "../oci/platform.js";
import type { Session } from "../session/session.js";
import type { Client } from "../solver/client.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import type { SolveAnswer } from "../solver/solve.js";
import type { Solved } from "../solver/solve-request.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import type { SourceLock } from "../solver/source-lock/source-lock.js";
import { appendTree } from "./append-tree.js";
import { type BuildResult, summaryOf } from "./build.js";
import { withBase, withStep } from "./build-error.js";
import { type BuildIdentity, identifyBuild, identityFacts } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { withDevices } from "./device-rights.js";
import { type Gathered, withRootfs } from "./gather.js";
import { keepBases, keepPlatform, knownBases } from "./known-facts.js";
import { LayeredTrees } from "./layered-trees.js";
import { type BlobVersions, knownLayoutBlobs } from "./layout-blobs.js";
import { choosePlatform, compileChain, resolveFacts } from "./make-plan.js";
import { openLock } from "./open-lock.js";
import { phase } from "./phase.js";
import { preparePublication } from "./publish.js";
import type { BuildRecorder } from "./record-build.js";
import { digestsOf } from "./scan-inputs.js";
import { type BuildLead, shareBuild } from "./share-build.js";
import { type StepTimeouts, watchTimeouts } from "./step-timeouts.js";
import { trackSteps } from "./step-tracker.js";
import { answerUnsolved, whyNotShared } from "./verified-build.js";

interface Making {
  readonly facts: DaemonFacts;
  readonly platform: Platform;
  readonly gathered: Gathered;
  readonly settings: SolveSettings;
}

/** What was made, by the daemon or here; or the result of a build that needs no more. */
type Made =
  | { readonly outputs: readonly OutputRecord[]; readonly answer: SolveAnswer | undefined }
  | { readonly result: BuildResult };

/** Thrown where a solve would begin, if there is nothing left to solve. */
class NothingToSolve extends Error {
  readonly made: Made;

  constructor(made: Made) {
    super("there is nothing to solve");
    this.made = made;
  }
}

/** A build for which its daemon is asked. */
export class SolvedBuild {
  readonly #job: BuildJob;
  readonly #client: Client;
  readonly #recorder: BuildRecorder;
  readonly #tracker = trackSteps();
  readonly #stop = new AbortController();
  /** Aborts when this call gives the build up, which others may want. */
  readonly #leave = new AbortController();
  readonly #led = createDeferred<void>();
  readonly #commands = new Map<string, PlanCommand>();
  /** The chain's steps, with their ops as far as they are known. */
  #steps: readonly PlanStep[] = [];
  #emit: (event: BuildEvent) => void;
  #lead: BuildLead | undefined;
  /** Another build may be what becomes of this one, and is recorded as that. */
  #follows = false;
  #timeouts: StepTimeouts | undefined;

  constructor(job: BuildJob, client: Client, recorder: BuildRecorder) {
    this.#job = job;
    this.#client = client;
    this.#recorder = recorder;
    // Everything that a build does at a time listens to it.
    setMaxListeners(0, this.#stop.signal);
    this.#emit = job.emit;
  }

  /** Carries it out. Rejects as `Engine.build`'s result does. */
  async run(): Promise<BuildResult> {
    const { options, closed } = this.#job;
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
      const building = this.#build();
      building.catch(() => {});
      await Promise.race([building, this.#led.promise]).catch(() => {});
      return await (this.#lead === undefined ? building : this.#lead.end(building));
    } finally {
      signal?.removeEventListener("abort", onAbort);
      closed.removeEventListener("abort", onClosed);
    }
  }

  async #build(): Promise<BuildResult> {
    const { options, index, engine, gathered: local, ref, startedAt } = this.#job;
    const { signal } = this.#stop;
    const { address } = this.#client;
    this.#emit(phase("connect", `connecting to ${address}`));
    const facts = await this.#client.facts({ signal });
    const platform = choosePlatform(options.platform, facts);
    if (options.platform === undefined) await keepPlatform(platform, address, index);
    const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
    const outputs = gathered.settings.outputs ?? [];
    const publication =
      gathered.publish === undefined
        ? undefined
        : await preparePublication(gathered.publish, outputs, { place: engine.images, signal });
    const settings: SolveSettings = {
      ...gathered.settings,
      outputs: publication?.outputs ?? outputs,
      entitlements: withDevices(gathered.settings.entitlements, gathered.needs.devices, facts),
      signal,
    };
    try {
      const made = await this.#make({ facts, platform, gathered, settings });
      if ("result" in made) return made.result;
      const records = (await publication?.finish(made.outputs)) ?? made.outputs;
      const result = await this.#recorder.succeeded({
        ref: made.answer?.ref ?? ref,
        platform,
        daemon: address,
        digest: records.find((record) => record.digest !== undefined)?.digest,
        outputs: records,
        startedAt,
        durationMs: Date.now() - startedAt,
        verified: false,
        ...summaryOf(this.#tracker.records(this.#steps)),
        exporterResponse: made.answer?.exporterResponse ?? {},
        ignoredFailures: made.answer?.ignoredFailures ?? [],
      });
      this.#emit(phase("done", "done"));
      return result;
    } catch (error) {
      const steps = this.#tracker.records(this.#steps);
      if (signal.aborted) {
        await this.#recorder.failed("canceled", signal.reason, { steps, platform, daemon: address });
        throw error;
      }
      const placed = withStep(withBase(error, gathered.needs), {
        steps: this.#steps,
        commands: this.#commands,
      });
      if (!this.#follows) await this.#recorder.failed("failed", placed, { steps, platform, daemon: address });
      throw placed;
    } finally {
      this.#timeouts?.close();
      await publication?.close();
    }
  }

  /** Solves, or finds that this is not needed. */
  async #make(making: Making): Promise<Made> {
    const { index, scans } = this.#job;
    const blobVersions = await knownLayoutBlobs(index, making.settings.outputs ?? []);
    for (let attempt = 1; ; attempt += 1) {
      const layers = new LayeredTrees({
        ...{ client: this.#client, facts: making.facts, settings: making.settings, index, scans },
        sourceDateEpoch: making.gathered.sourceDateEpoch,
        forced: making.gathered.force !== undefined,
        expect: (question, isSolved) => this.#expect(question, isSolved),
        emit: (event) => this.#hear(event),
      });
      try {
        return await runSessionSolve(
          this.#client,
          {
            ref: attempt === 1 ? this.#job.ref : randomId(),
            facts: making.facts,
            settings: making.settings,
            stores: layers.stores,
            blobVersions,
            solved: (session) => this.#prepare(session, making, layers, blobVersions),
          },
          (event) => this.#hear(event),
        );
      } catch (error) {
        if (error instanceof NothingToSolve) return error.made;
        // The daemon has lost layers that it told of: asked anew, it makes them again.
        if (attempt > 1 || !layers.lost || this.#stop.signal.aborted) throw error;
        await layers.forget();
        this.#emit(phase("solve", "the daemon has lost layers that it had: building them again"));
      } finally {
        this.#recorder.sent(layers.sentBytes);
      }
    }
  }

  /** Finds out what is to be solved. Throws {@link NothingToSolve}. */
  async #prepare(
    session: Session,
    { facts, platform, gathered, settings }: Making,
    layers: LayeredTrees,
    blobVersions: BlobVersions,
  ): Promise<Solved> {
    const { image, index, engine, scans } = this.#job;
    const { mirrors } = engine;
    const { needs } = gathered;
    const client = this.#client;
    const lock = (await openLock(settings))?.lock;
    const bases = index.enabled
      ? await knownBases(needs, { index, platform, settings, inputs: gathered.inputs, mirrors, lock })
      : undefined;
    const asked = bases === undefined && needs.bases.length > 0;
    if (asked || needs.usesDockerfile) this.#emit(phase("resolve", "resolving the base"));
    const frontends = new Map<string, FrontendFact>();
    const making = { client, session, gathered, settings, platform, mirrors, answers: new Map() };
    const resolved = await resolveFacts({ ...making, bases, lock });
    await keepBases(needs, resolved.facts.bases, { index, platform, mirrors });
    const plain = identityFacts(resolved.facts, digestsOf(scans));
    const identity = identifyBuild(
      await compileChain(
        image,
        { ...resolved, facts: { ...plain, frontends } },
        { ...making, frontends, pinned: false },
      ),
      gathered,
    );
    this.#recorder.identified(identity, { ...resolved.facts, frontends });
    if (this.#lead === undefined && index.enabled) {
      const unsolved = await answerUnsolved(identity, this.#job, platform);
      if (typeof unsolved !== "string") {
        // What the lock did not hold is in it afterwards, solved or not.
        if (resolved.lock !== undefined) await compileChain(image, resolved, making);
        await this.#recorder.verified(unsolved);
        throw new NothingToSolve({ result: unsolved.result });
      }
      await this.#share(identity, resolved.lock);
    }
    this.#emit({
      type: "planned",
      steps: image.steps.map(({ id, title }, at) => ({ index: at, id, title })),
      at: Date.now(),
    });
    const packedFrom = performance.now();
    const plan = await compileChain(image, resolved, {
      ...making,
      chooseWay: index.enabled ? (question) => layers.way(question, identity.plan) : undefined,
    });
    this.#watch(plan);
    this.#recorder.planned(plan.copies);
    const appended = await appendTree(plan, {
      image: layers.images.at(-1),
      outputs: settings.outputs ?? [],
      facts,
      registries: settings.credentials === undefined ? engine.registries : undefined,
      blobVersions,
      sourceDateEpoch: gathered.sourceDateEpoch,
      signal: settings.signal,
    });
    const last = layers.images.at(-1);
    if (appended !== undefined && last !== undefined) {
      const outcome = last.packed.packedShards > 0 ? "ran" : "cached";
      this.#tracker.made(last.question.step, outcome, performance.now() - packedFrom);
      throw new NothingToSolve({ outputs: appended, answer: undefined });
    }
    this.#emit(phase("solve", `building ${plan.steps.length} steps`));
    return { definition: plan.definition, config: plan.config };
  }

  /** Becomes the one who builds this, or throws what another made of it. */
  async #share({ key: identity, plan }: BuildIdentity, lock: SourceLock | undefined): Promise<void> {
    const { gathered, engine, emit } = this.#job;
    const { credentials, uploads, entitlements, internal, sourceLock, pull } = gathered.settings;
    // What is this build's alone cannot be told from what another one has of it.
    if (whyNotShared(gathered) !== undefined || credentials !== undefined || uploads !== undefined) return;
    const parts = [
      "run v1",
      identity,
      // Docker's own store and published names mean what the daemon and the engine's options say.
      ...[this.#client.address, engine.images],
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
    if ("result" in shared) throw new NothingToSolve(shared);
    this.#follows = false;
    const { lead } = shared;
    this.#lead = lead;
    this.#emit = lead.emit;
    lead.signal.addEventListener("abort", () => this.#stop.abort(lead.signal.reason), { once: true });
    if (lead.signal.aborted) this.#stop.abort(lead.signal.reason);
    this.#led.resolve();
  }

  /** A part of the chain is solved on its own, or need not be. */
  #expect({ before, commands }: LayersQuestion, isSolved: boolean): void {
    if (before === undefined) return;
    const steps = planSteps(this.#job.image, [before]);
    if (isSolved) this.#watch({ steps, commands });
    else this.#tracker.assume(steps);
  }

  #watch({ steps, commands }: Pick<Plan, "steps" | "commands">): void {
    this.#steps = steps;
    this.#tracker.expect(steps);
    for (const [digest, command] of commands) this.#commands.set(digest, command);
    this.#timeouts?.close();
    const timeouts = watchTimeouts({ steps });
    this.#timeouts = timeouts;
    timeouts.signal.addEventListener("abort", () => this.#stop.abort(timeouts.signal.reason), { once: true });
  }

  #hear(event: SolveEvent): void {
    this.#timeouts?.hear(event);
    this.#emit(this.#tracker.tag(event));
  }
}
