import type { Chain } from "../image/define-step.js";
import type { BuildEvent, PhaseEvent } from "../model/events.js";
import type { Plan } from "../model/plan.js";
import type { Client } from "../solver/client.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import type { BuildOptions, BuildResult } from "./build.js";
import { withStep } from "./build-error.js";
import { withDevices } from "./device-rights.js";
import { type EngineSettings, gather } from "./gather.js";
import { choosePlatform, makePlan } from "./make-plan.js";
import { type StepTimeouts, watchTimeouts } from "./step-timeouts.js";
import { type StepTracker, trackSteps } from "./step-tracker.js";

/** What a build runs with. */
export interface RunBuildContext {
  readonly client: Client;
  readonly engine: EngineSettings;
  readonly ref: string;
  readonly emit: (event: BuildEvent) => void;
}

/**
 * Carries out one build: finds local inputs, learns the daemon, resolves bases, compiles, solves.
 *
 * Local problems are thrown before any connection; what the daemon cannot do before anything is sent.
 */
export async function runBuild(
  image: Chain,
  options: BuildOptions,
  context: RunBuildContext,
): Promise<BuildResult> {
  const { client, engine, ref, emit } = context;
  const { signal } = options;
  const startedAt = Date.now();
  signal?.throwIfAborted();
  const gathered = await gather(image, options, engine);
  const { needs } = gathered;
  emit(phase("connect", `connecting to ${client.address}`));
  const facts = await client.facts({ signal });
  const stop = new AbortController();
  const settings: SolveSettings = {
    ...gathered.settings,
    entitlements: withDevices(gathered.settings.entitlements, needs.devices, facts),
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
  };
  const platform = choosePlatform(options.platform, facts);
  let plan: Plan | undefined;
  let tracker: StepTracker | undefined;
  let timeouts: StepTimeouts | undefined;
  try {
    const { answer, outputs: records } = await runSessionSolve(
      client,
      {
        ref,
        facts,
        settings,
        async solved(session) {
          if (needs.bases.length > 0 || needs.usesDockerfile) {
            emit(phase("resolve", "resolving the base"));
          }
          const { mirrors } = engine;
          plan = await makePlan(image, { client, session, gathered, settings, platform, mirrors });
          tracker = trackSteps(plan);
          timeouts = watchTimeouts(plan);
          timeouts.signal.addEventListener("abort", () => stop.abort(timeouts?.signal.reason), {
            once: true,
          });
          emit({
            type: "planned",
            steps: plan.steps.map(({ index, id, title }) => ({ index, id, title })),
            at: Date.now(),
          });
          emit(phase("solve", `building ${plan.steps.length} steps`));
          return { definition: plan.definition, config: plan.config };
        },
      },
      (event) => {
        timeouts?.hear(event);
        emit(tracker?.tag(event) ?? event);
      },
    );
    emit(phase("done", "done"));
    const steps = tracker?.records() ?? [];
    return {
      ref: answer.ref,
      platform,
      daemon: client.address,
      digest: records.find((record) => record.digest !== undefined)?.digest,
      outputs: records,
      steps,
      startedAt,
      durationMs: Date.now() - startedAt,
      cache: {
        cached: steps.filter(({ outcome }) => outcome === "cached").length,
        ran: steps.filter(({ outcome }) => outcome === "ran").length,
        steps,
      },
      exporterResponse: answer.exporterResponse,
      ignoredFailures: answer.ignoredFailures,
    };
  } catch (error) {
    throw plan === undefined || settings.signal?.aborted === true ? error : withStep(error, plan);
  } finally {
    timeouts?.close();
  }
}

function phase(name: PhaseEvent["phase"], message: string): PhaseEvent {
  return { type: "phase", phase: name, message, at: Date.now() };
}
