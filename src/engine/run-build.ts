import type { Chain } from "../image/define-step.js";
import type { BuildEvent, PhaseEvent } from "../model/events.js";
import type { Plan } from "../model/plan.js";
import type { Client } from "../solver/client.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import type { BuildOptions, BuildResult } from "./build.js";
import { withBase, withStep } from "./build-error.js";
import { withDevices } from "./device-rights.js";
import { type EngineSettings, gather, withRootfs } from "./gather.js";
import { choosePlatform, compileChain, resolveFacts } from "./make-plan.js";
import { preparePublication } from "./publish.js";
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
  const local = await gather(image, options, engine);
  const { needs } = local;
  emit(phase("connect", `connecting to ${client.address}`));
  const facts = await client.facts({ signal });
  const platform = choosePlatform(options.platform, facts);
  const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
  const stop = new AbortController();
  const outputs = gathered.settings.outputs ?? [];
  const publication =
    gathered.publish === undefined
      ? undefined
      : await preparePublication(gathered.publish, outputs, { place: engine.images, signal });
  const settings: SolveSettings = {
    ...gathered.settings,
    outputs: publication?.outputs ?? outputs,
    entitlements: withDevices(gathered.settings.entitlements, needs.devices, facts),
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
  };
  let plan: Plan | undefined;
  let tracker: StepTracker | undefined;
  let timeouts: StepTimeouts | undefined;
  try {
    const { answer, outputs: written } = await runSessionSolve(
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
          const making = { client, session, gathered, settings, platform, mirrors };
          plan = await compileChain(image, await resolveFacts(making), making);
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
    const records = (await publication?.finish(written)) ?? written;
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
    if (settings.signal?.aborted === true) throw error;
    const placed = withBase(error, needs);
    throw plan === undefined ? placed : withStep(placed, plan);
  } finally {
    timeouts?.close();
    await publication?.close();
  }
}

function phase(name: PhaseEvent["phase"], message: string): PhaseEvent {
  return { type: "phase", phase: name, message, at: Date.now() };
}
