import { join } from "node:path";
import { sharedRun } from "../cache/sharing/shared-run.js";
import { KilnError } from "../errors.js";
import { createDeferred } from "../internal/deferred.js";
import type { BuildEvent } from "../model/events.js";
import { SolveError } from "../solver/solve-error.js";
import { eventRetention, logsDropped } from "../solver/solve-event-retention.js";
import type { BuildResult } from "./build.js";
import { buildCodecs } from "./build-codecs.js";

/** The build is this call's to carry out, for all who asked for the same one. */
export interface BuildLead {
  /** Tells all of them, this call too. */
  readonly emit: (event: BuildEvent) => void;
  /** Aborts once nobody wants the build any more. */
  readonly signal: AbortSignal;
  /** Ends it for all of them; resolves with this call's own answer. To be called once. */
  readonly end: (outcome: Promise<BuildResult>) => Promise<BuildResult>;
}

/** What {@link shareBuild} goes by. */
export interface ShareBuildOptions {
  readonly cacheDir: string;
  /** Of all that makes a difference: hexadecimal. */
  readonly key: string;
  readonly emit: (event: BuildEvent) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Finds out who carries out a build that others, in this process or another, may be asking for right now.
 *
 * Resolves with the lead, or with the result once somebody else's build has ended well. Rejects with that one's error if it
 * is about a step, or the signal's reason. Of other errors (a file that changed, a lost connection, missing credentials)
 * nobody knows whether everyone would have got them: then another one leads.
 */
export async function shareBuild(
  options: ShareBuildOptions,
): Promise<{ readonly lead: BuildLead } | { readonly result: BuildResult }> {
  const { cacheDir, key, emit, signal } = options;
  const begun = createDeferred<{ readonly lead: BuildLead }>();
  const outcome = createDeferred<BuildResult>();
  outcome.promise.catch(() => {});
  const shared = sharedRun<BuildResult, BuildEvent>({
    dir: join(cacheDir, "running"),
    key,
    codecs: buildCodecs,
    retention: eventRetention,
    dropped: logsDropped,
    emit,
    signal,
    isEverybodys: isAboutStep,
    onTakeOver: (by) =>
      emit({
        type: "phase",
        phase: "solve",
        message: `whoever built this did not finish: ${by === "self" ? "building it here" : "following another"}`,
        at: Date.now(),
      }),
    run(tell, wanted) {
      begun.resolve({
        lead: {
          emit: tell,
          signal: wanted,
          async end(ended) {
            outcome.resolve(ended);
            return (await shared).result;
          },
        },
      });
      return outcome.promise;
    },
  });
  shared.catch(() => {});
  return Promise.race([begun.promise, shared.then(({ result }) => ({ result }))]);
}

/** Whether a step failed, or took too long, whoever had it carried out. */
function isAboutStep(error: unknown): boolean {
  if (!(error instanceof KilnError)) return false;
  const { code } = error;
  if (code === "ERR_KILN_STEP_FAILED" || code === "ERR_KILN_STEP_TIMEOUT") return true;
  return code === "ERR_KILN_SOLVE_FAILED" && error instanceof SolveError && error.step !== undefined;
}
