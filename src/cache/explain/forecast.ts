import type { StoredBuild } from "../../model/build-record.js";
import type { Forecast, StepForecast, TreeForecast } from "../../model/forecast.js";
import type { StepFingerprint } from "../../model/step-input.js";
import type { ComparedBuild } from "./known-results.js";
import { type JudgeOptions, stepCauses } from "./step-causes.js";
import { makesFiles, workOf } from "./step-keys.js";

/** What {@link forecastSteps} goes by. */
export interface ForecastOptions extends JudgeOptions {
  /** What of the trees would go to the daemon. */
  readonly trees: readonly TreeForecast[];
  /** The build would be answered without a solve. */
  readonly noop: boolean;
}

/** What a build would do: which steps run and why, and how long that takes by earlier builds. */
export async function forecastSteps(options: ForecastOptions): Promise<Forecast> {
  const { fingerprints, previous, others, daemon, trees, noop } = options;
  const causes = await stepCauses(options);
  const history = previous === undefined || others.includes(previous) ? others : [previous, ...others];
  const steps = fingerprints.map((step, index): StepForecast => {
    const { id, title } = step;
    const cached = causes.expectsCached(index);
    if (cached === undefined) return { index, id, title, expect: "config", expectedMs: 0 };
    if (cached || noop) return { index, id, title, expect: "cached", expectedMs: 0 };
    const cause = causes.causeOf(index);
    return { index, id, title, expect: "run", cause, expectedMs: expectedMs(step, history, daemon) };
  });
  const running = steps.filter(({ expect }) => expect === "run");
  const bytes = trees.map((tree) => (tree.way === "none" || noop ? 0 : tree.bytes));
  return {
    daemon,
    steps,
    runs: running.length,
    unknown: running.filter((step) => step.expectedMs === undefined).length,
    expectedMs: running.reduce((sum, step) => sum + (step.expectedMs ?? 0), 0),
    trees,
    bytesToSend: bytes.some((count) => count === undefined)
      ? undefined
      : bytes.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    noop,
  };
}

/**
 * How long a step takes, by the median of earlier runs: of the same step on this daemon, else on others, else of steps of
 * its kind.
 */
function expectedMs(
  step: StepFingerprint,
  builds: readonly (ComparedBuild & Pick<StoredBuild, "steps">)[],
  daemon: string,
): number | undefined {
  const runs = builds.flatMap((build) =>
    build.steps.flatMap(({ index, outcome, durationMs }) => {
      const other = build.fingerprints[index];
      return other === undefined || outcome !== "ran"
        ? []
        : [{ other, durationMs, here: build.daemon === daemon }];
    }),
  );
  const same = runs.filter(({ other }) => makesFiles(other) && workOf(other) === workOf(step));
  const tiers = [same.filter(({ here }) => here), same, runs.filter(({ other }) => other.id === step.id)];
  const tier = tiers.find(({ length }) => length > 0);
  return tier === undefined ? undefined : median(tier.map(({ durationMs }) => durationMs));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0];
  return (low + high) / 2;
}
