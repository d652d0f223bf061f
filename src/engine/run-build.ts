import { resolve } from "node:path";
import { KilnError } from "../errors.js";
import { compile } from "../image/compile.js";
import type { Image } from "../image/image.js";
import { needsOf } from "../image/needs-of.js";
import { randomId } from "../internal/random-id.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { BuildEvent, PhaseEvent } from "../model/events.js";
import type { Plan } from "../model/plan.js";
import { normalizePlatform, type Platform, parsePlatform } from "../oci/platform.js";
import type { Client } from "../solver/client.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import type { BuildOptions, BuildResult } from "./build.js";
import { withStep } from "./build-error.js";
import { withDevices } from "./device-rights.js";
import { gatherInputs } from "./gather-inputs.js";
import { gatherSecrets, type SecretProvider } from "./gather-secrets.js";
import { lockPlan, openLock } from "./lock-plan.js";
import { lockOfBases, resolveBases } from "./resolve-bases.js";
import { resolvePaths } from "./resolve-paths.js";
import { type StepTracker, trackSteps } from "./step-tracker.js";

/** What a build runs with. */
export interface RunBuildContext {
  readonly client: Client;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly secretProviders: readonly SecretProvider[];
  readonly ref: string;
  readonly emit: (event: BuildEvent) => void;
}

/**
 * Carries out one build: finds local inputs, learns the daemon, resolves bases, compiles, solves.
 *
 * Local problems are thrown before any connection; what the daemon cannot do before anything is sent.
 */
export async function runBuild(
  image: Image,
  options: BuildOptions,
  context: RunBuildContext,
): Promise<BuildResult> {
  const { client, ref, emit, env } = context;
  const { signal } = options;
  const startedAt = Date.now();
  signal?.throwIfAborted();
  const cwd = resolve(options.cwd ?? ".");
  const { platform: wantedPlatform, cwd: _cwd, ...told } = options;
  const sourceDateEpoch = checkEpoch(options.sourceDateEpoch ?? env["SOURCE_DATE_EPOCH"]);
  const needs = needsOf(image);
  const inputs = await gatherInputs(needs, cwd);
  const providers = context.secretProviders;
  const secrets = await gatherSecrets(needs.secrets, { cwd, env, providers, signal });
  emit(phase("connect", `connecting to ${client.address}`));
  const facts = await client.facts({ signal });
  const paths = resolvePaths(told, cwd);
  const settings: SolveSettings = {
    ...paths,
    secrets: { ...paths.secrets, ...secrets.sources },
    entitlements: withDevices(paths.entitlements, needs.devices, facts),
    sourceDateEpoch,
    trees: inputs.trees,
    layouts: new Map([...inputs.layouts.values()].map(({ store, layout }) => [store, layout.dir])),
  };
  const platform = choosePlatform(wantedPlatform, facts);
  let plan: Plan | undefined;
  let tracker: StepTracker | undefined;
  try {
    const { answer, outputs: records } = await runSessionSolve(
      client,
      {
        ref,
        facts,
        settings,
        async solved(session) {
          if (needs.bases.length > 0) emit(phase("resolve", "resolving the base"));
          const locked = await openLock(settings);
          const bases = await resolveBases(needs, {
            connection: client.connection,
            session,
            platform,
            inputs,
            policy: settings,
            signal,
            lock: locked?.lock,
            pull: settings.pull,
          });
          const compiled = compile(image, {
            platform,
            bases,
            trees: inputs.treeFacts,
            files: inputs.files,
            secrets: secrets.facts,
            sourceDateEpoch,
            localUniqueId: randomId(),
          });
          const lock = locked && lockOfBases(needs, bases, { platform, lock: locked.lock });
          plan = await lockPlan(compiled, { client, settings, platform, lock, before: locked?.lock });
          tracker = trackSteps(plan);
          emit({
            type: "planned",
            steps: plan.steps.map(({ index, id, title }) => ({ index, id, title })),
            at: Date.now(),
          });
          emit(phase("solve", `building ${plan.steps.length} steps`));
          return { definition: plan.definition, config: plan.config };
        },
      },
      (event) => emit(tracker?.tag(event) ?? event),
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
    throw plan === undefined || signal?.aborted === true ? error : withStep(error, plan);
  }
}

/** The daemon's first Linux platform, or the one asked for if any worker has it. */
function choosePlatform(wanted: BuildOptions["platform"], facts: DaemonFacts): Platform {
  if (wanted !== undefined)
    return typeof wanted === "string" ? parsePlatform(wanted) : normalizePlatform(wanted);
  const offered = facts.workers.flatMap(({ platforms }) => platforms);
  const linux = offered.find(({ os }) => os === "linux");
  if (linux !== undefined) return linux;
  throw new KilnError("ERR_KILN_UNSUPPORTED", `the daemon at ${facts.address} offers no Linux platform`, {
    hint: "Name the platform to build for.",
  });
}

function checkEpoch(value: number | string | undefined): number | undefined {
  if (value === undefined || value === "") return undefined;
  const seconds = Number(value);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= 253_402_300_799) return seconds;
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `SOURCE_DATE_EPOCH must be seconds since 1970, got "${value}"`,
    {
      hint: "E.g. SOURCE_DATE_EPOCH=$(git log -1 --format=%ct).",
    },
  );
}

function phase(name: PhaseEvent["phase"], message: string): PhaseEvent {
  return { type: "phase", phase: name, message, at: Date.now() };
}
