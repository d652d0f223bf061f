import { appendKnown } from "./appended-build.js";
import type { BuildResult } from "./build.js";
import type { BuildJob } from "./build-job.js";
import { OngoingBuild } from "./ongoing-build.js";
import type { BuildRecorder } from "./record-build.js";
import type { KnownBuild } from "./verified-build.js";

/**
 * Carries out a build whose outputs are not there: here if nothing has to be asked and run, else on its daemon.
 *
 * `known` = all that can be told of it without the daemon. Rejects as `Engine.build`'s result does.
 */
export function carryOut(
  job: BuildJob,
  recorder: BuildRecorder,
  known: KnownBuild | undefined,
): Promise<BuildResult> {
  const build = new OngoingBuild(job, recorder);
  return build.run(async () => {
    const appended = known && (await appendKnown(build, known));
    if (appended !== undefined) return appended;
    const client = await job.connect();
    const { solveBuild } = await import("./solved-build.js");
    return solveBuild(build, client);
  });
}
