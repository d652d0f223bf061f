import type { BuildJob } from "../build-job.js";
import type { OutputCheckContext } from "./output-checks.js";

/** What a build's outputs are stamped and checked with. */
export function checkContextOf({ address, engine, gathered, options }: BuildJob): OutputCheckContext {
  return {
    daemon: { address, tls: engine.tls },
    registries: engine.registries,
    images: engine.images,
    publish: gathered.publish,
    signal: options.signal,
  };
}
