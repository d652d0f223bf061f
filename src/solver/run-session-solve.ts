import { KilnError } from "../errors.js";
import type { OutputRecord } from "../model/build-record.js";
import type { SolveEvent } from "../model/events.js";
import type { Connection } from "../rpc/connection.js";
import type { ExporterChoice, FinishedResult } from "../session/exporter.js";
import { openSession, type Session } from "../session/session.js";
import { type CacheOptions, prepareCaches } from "./cache-transfer.js";
import { collectOutputs, exportOrder } from "./collect-outputs.js";
import { type ExportedImage, exporterEntries } from "./exporter-entries.js";
import type { Output } from "./outputs.js";
import { prepareOutputs } from "./prepare-outputs.js";
import { type SessionResources, sessionServices } from "./session-services.js";
import { runSolve, type SolveAnswer, type SolveRequestOptions } from "./solve.js";
import { SolveError } from "./solve-error.js";

/** A solve with everything its session needs. */
export interface SessionSolve {
  readonly resources: SessionResources;
  readonly outputs: SolveRequestOptions["outputs"];
  /** Joins the daemon's copies of local directories across sessions. */
  readonly sharedKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly caches?: CacheOptions | undefined;
  /** Chooses more outputs once the result is known. */
  readonly chooseOutputs?: OutputChooser | undefined;
  /** What chosen outputs say of the image. */
  readonly chosenImage?: ExportedImage | undefined;
  /** Makes the request once the session is open; may ask the daemon for things first. */
  readonly request: (
    session: Session,
  ) => Promise<
    Omit<
      SolveRequestOptions,
      | "session"
      | "outputs"
      | "signal"
      | "cacheExports"
      | "cacheImports"
      | "choosesOutputs"
      | "verifiesSources"
    >
  >;
}

/** Chooses what is written of a result, from its metadata and the ids of its filesystems. */
export type OutputChooser = (result: FinishedResult) => readonly Output[] | Promise<readonly Output[]>;

/** What a {@link SessionSolve} made. */
export interface SessionSolveResult {
  readonly answer: SolveAnswer;
  readonly outputs: readonly OutputRecord[];
}

/**
 * Opens a session, solves, and finishes the outputs.
 *
 * What failed on this side (an unreadable file, a missing secret, a full disk) is thrown instead of the
 * daemon's echo of it. The session is closed however it ends.
 */
export async function runSessionSolve(
  connection: Connection,
  solve: SessionSolve,
  emit: (event: SolveEvent) => void,
): Promise<SessionSolveResult> {
  const { signal } = solve;
  const outputs = exportOrder(solve.outputs);
  signal?.throwIfAborted();
  const caches = await prepareCaches(solve.caches ?? {});
  const chosen: Output[] = [];
  const { chooseOutputs } = solve;
  const choose = async (result: FinishedResult): Promise<readonly ExporterChoice[]> => {
    chosen.push(...((await chooseOutputs?.(result)) ?? []));
    await prepareOutputs(chosen);
    for (const [index, output] of chosen.entries()) services.connect(outputs.length + index, output);
    return exporterEntries(chosen, solve.chosenImage ?? { config: undefined, sourceDateEpoch: undefined });
  };
  const services = sessionServices(
    { ...solve.resources, stores: caches.stores },
    outputs,
    chooseOutputs === undefined ? undefined : choose,
  );
  await prepareOutputs(outputs);
  const session = openSession(connection, { services: services.services, sharedKey: solve.sharedKey });
  try {
    const request = await solve.request(session);
    for (const message of caches.skipped) {
      emit({ type: "warning", vertex: "", level: 1, message, detail: [], url: "" });
    }
    const { exports: cacheExports, imports: cacheImports } = caches;
    const answer = await runSolve(
      connection,
      {
        ...request,
        ...{ cacheExports, cacheImports, session, outputs, signal },
        choosesOutputs: chooseOutputs !== undefined,
        verifiesSources: solve.resources.verifySource !== undefined,
      },
      emit,
    );
    await caches.finish();
    const all = [...outputs, ...chosen];
    const records = await collectOutputs(all, answer, services);
    const byOutput = new Map(all.map((output, index) => [output, records[index]]));
    return { answer, outputs: [...solve.outputs, ...chosen].flatMap((output) => byOutput.get(output) ?? []) };
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : ownCause(error, services.problems);
  } finally {
    await session.close();
    await services.settled();
  }
}

/**
 * The problem on this side that the daemon's error is an echo of, if there is one: its text is in the error,
 * or the error is about a secret that could not be given (the daemon says only that it is missing).
 */
function ownCause(error: unknown, problems: readonly unknown[]): unknown {
  if (!(error instanceof SolveError) || error.exitCode !== undefined) return error;
  const isEcho = (problem: unknown): boolean =>
    problem instanceof KilnError &&
    (error.message.includes(problem.message) ||
      (problem.code.startsWith("ERR_KILN_SECRET") && /secret .*: not found/.test(error.message)));
  return problems.find(isEcho) ?? error;
}
