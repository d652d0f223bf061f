import type { Chain } from "../image/define-step.js";
import type { BuildOptions, BuildResult } from "./build.js";
import type { BuildJob, RunBuildContext } from "./build-job.js";
import { getReady } from "./get-ready.js";
import { gather } from "./inputs/gather.js";
import { LaterWork } from "./later-work.js";
import { openCache } from "./open-cache.js";
import { phase } from "./phase.js";
import { BuildRecorder } from "./record-build.js";
import { type ScannedInputs, scanInputs, withScans } from "./trees/scan-inputs.js";
import { answerUnsolved, knownBuild } from "./verified-build.js";

/**
 * Carries out one build: finds local inputs; answers at once if what it would make is there; else learns the daemon,
 * resolves bases, compiles, solves.
 *
 * Local problems are thrown before anything is asked for; what the daemon cannot do before anything is sent. Builds that
 * are the same and run at the same time are one.
 */
export async function runBuild(
  image: Chain,
  options: BuildOptions,
  context: RunBuildContext,
): Promise<BuildResult> {
  const { engine } = context;
  const { signal } = options;
  const startedAt = Date.now();
  signal?.throwIfAborted();
  const index = openCache({ cacheDir: engine.cacheDir, env: engine.env });
  const found = await gather(image, options, engine);
  const later = new LaterWork();
  try {
    const scans: ScannedInputs = index.enabled
      ? await scanInputs(found, {
          ...{ index, signal },
          onChanged: () => getReady(image, found, context),
          later: (keep) => later.add(keep),
        })
      : new Map();
    const job: BuildJob = {
      ...{ ...context, image, options, index, scans, startedAt, later },
      gathered: withScans(found, scans, (bytes) => recorder.sent(bytes)),
    };
    const recorder: BuildRecorder = new BuildRecorder(job);
    const known = await knownBuild(job);
    const answer = known && (await answerUnsolved(known.identity, job, known.platform));
    if (typeof answer === "object") {
      await recorder.verified(answer);
      context.emit(phase("done", "everything is there already"));
      return answer.result;
    }
    const { carryOut } = await import("./carry-out.js");
    return await carryOut(job, recorder, known);
  } finally {
    await later.run();
  }
}
