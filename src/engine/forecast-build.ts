import { forecastSteps } from "../cache/explain/forecast.js";
import type { LayersQuestion } from "../image/layers-question.js";
import type { Facts } from "../model/facts.js";
import type { Forecast, TreeForecast } from "../model/forecast.js";
import type { BuildJob } from "./build-job.js";
import { compareBuild } from "./build-traits.js";
import { bytesToUpload } from "./trees/upload-record.js";

/** A tree that would be copied, and how it would come to the daemon. */
export interface ForeseenWay {
  readonly question: LayersQuestion;
  readonly way: TreeForecast["way"];
  /** Bytes of layers that were not made before. */
  readonly bytes: number | undefined;
}

/** What {@link forecastBuild} goes by beside the job. */
export interface ForecastBuildOptions {
  readonly facts: Facts;
  readonly daemon: string;
  readonly ways: readonly ForeseenWay[];
  /** Everything that the build would make was looked for, and is there. */
  readonly noop: boolean;
}

/** What a build would do: which of its steps run and why, what is sent, and how long it takes. */
export async function forecastBuild(job: BuildJob, options: ForecastBuildOptions): Promise<Forecast> {
  const { facts, daemon, ways, noop } = options;
  const layered = new Map(ways.map((foreseen) => [foreseen.question.tree, foreseen]));
  const copies = ways.map(({ question: { tree }, way }) => ({
    tree,
    way: way === "layers" ? ("layers" as const) : ("local" as const),
  }));
  const { compared } = await compareBuild(job, { facts, copies, daemon });
  const trees: TreeForecast[] = [];
  for (const { id, path } of job.gathered.needs.trees) {
    const foreseen = layered.get(id);
    const scan = job.scans.get(id);
    if (foreseen?.way === "layers") trees.push({ path, way: "layers", bytes: foreseen.bytes });
    else {
      const bytes = scan === undefined ? undefined : await bytesToUpload(job.index, daemon, scan);
      trees.push({ path, way: bytes === 0 ? "none" : "local", bytes });
    }
  }
  return forecastSteps({
    ...compared,
    trees,
    noop,
  });
}
