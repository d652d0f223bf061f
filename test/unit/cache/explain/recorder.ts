import { expect } from "vitest";
import { explainSteps } from "../../../../src/cache/explain/explain.js";
import { findPrevious } from "../../../../src/cache/explain/find-previous.js";
import { forecastSteps } from "../../../../src/cache/explain/forecast.js";
import { stepCauses } from "../../../../src/cache/explain/step-causes.js";
import type { StoredBuild } from "../../../../src/model/build-record.js";
import type { Cause } from "../../../../src/model/cause.js";
import type { Forecast } from "../../../../src/model/forecast.js";
import type { StepInput } from "../../../../src/model/step-input.js";
import { parsePlatform } from "../../../../src/oci/platform.js";
import { FakeDaemon, type FakeRun } from "./fake-daemon.js";
import { gatherScene, type Scene, SceneStore } from "./scene.js";

/** How one build of a {@link Recorder} goes. */
export interface RecordedRun extends FakeRun {
  readonly daemon?: string;
  readonly lineage?: string;
  /** Nothing is recorded of it but that it ended. */
  readonly killed?: boolean;
}

/** A build that was forecast, carried out and explained. */
export interface Recorded {
  readonly forecast: Forecast;
  readonly causes: ReadonlyMap<number, Cause>;
  readonly build: StoredBuild;
}

/** Builds scenes on fake daemons, and keeps records as an engine does. */
export class Recorder {
  readonly builds: StoredBuild[] = [];
  readonly store = new SceneStore();
  readonly #daemons = new Map<string, FakeDaemon>();

  daemon(address = "unix:///one"): FakeDaemon {
    const known = this.#daemons.get(address) ?? new FakeDaemon(1000 * (1 + this.#daemons.size));
    this.#daemons.set(address, known);
    return known;
  }

  async build(scene: Scene, run: RecordedRun = {}): Promise<Recorded> {
    const { daemon = "unix:///one", lineage = "recipe.ts" } = run;
    const gathered = gatherScene(scene, this.store);
    const { fingerprints, forcedFrom } = gathered;
    const judged = {
      ...{ fingerprints, forcedFrom, daemon, others: this.builds },
      previous: findPrevious(this.builds, { lineage, fingerprints, daemon }),
      treeDiff: (before: StepInput, after: StepInput) => this.store.diff(before.stored, after.stored),
      fileText: (digest: string) => this.store.files.get(digest),
    };
    const forecast = await forecastSteps({ ...judged, trees: [], noop: false });
    const outcomes = this.daemon(daemon).build(gathered, run);
    const causes = explainSteps(outcomes, await stepCauses(judged));
    const ended = outcomes.find(({ outcome }) => outcome === "failed" || outcome === "canceled")?.outcome;
    const build: StoredBuild = {
      ref: `build${this.builds.length}`,
      platform: parsePlatform(scene.world.platform ?? "linux/amd64"),
      ...{ daemon, lineage, fingerprints, forcedFrom, name: "recipe.ts", digest: undefined, outputs: [] },
      steps: run.killed === true ? [] : outcomes.map((step) => ({ ...step, cause: causes.get(step.index) })),
      outcome:
        run.killed === true ? "failed" : ended === "failed" || ended === "canceled" ? ended : "succeeded",
      ...{ verified: false, sentBytes: 0, startedAt: this.builds.length, durationMs: 1 },
    };
    this.builds.push(build);
    return { forecast, causes, build };
  }
}

/** The causes of a build as kind and text by step. */
export function textsOf(
  causes: ReadonlyMap<number, Cause>,
): Readonly<Record<number, readonly [string, string]>> {
  return Object.fromEntries([...causes].map(([index, { kind, text }]) => [index, [kind, text]]));
}

/** That a forecast said what happened: the same steps ran, and for the same reason. */
export function expectForeseen({ forecast, causes, build }: Recorded): void {
  const foreseen = forecast.steps.map(({ expect: what, cause }) => [what, cause]);
  const happened = build.steps.map(({ index, outcome }) => {
    const what = outcome === "config" ? "config" : outcome === "cached" ? "cached" : "run";
    return [what, causes.get(index)];
  });
  expect(foreseen).toEqual(happened);
}
