import { hostname } from "node:os";
import type { OutputRecord } from "../model/build-record.js";
import type { SolveEvent } from "../model/events.js";
import type { Connection } from "../rpc/connection.js";
import type { ExporterChoice, FinishedResult } from "../session/exporter.js";
import { openSession } from "../session/session.js";
import { prepareCaches } from "./caches/cache-transfer.js";
import { collectOutputs, exportOrder } from "./collect-outputs.js";
import { exporterEntries } from "./exporter-entries.js";
import { treesKey } from "./frontend/trees-key.js";
import { type Output, outputTarget } from "./outputs.js";
import { ownCause } from "./own-cause.js";
import { preflight, refuseMissingCaps } from "./preflight.js";
import { preflightVersions } from "./preflight-versions.js";
import { prepareOutputs } from "./prepare-outputs.js";
import { type SessionOwner, sessionServices } from "./session-services.js";
import { runSolve, type SolveAnswer } from "./solve.js";
import type { Solved, SolveRequest } from "./solve-request.js";
import { solvedWithConfig } from "./solved-with-config.js";
import { packStagedTar, removeStaged, stagedTar } from "./staged-tar.js";

/** What a solve made. */
export interface SessionSolveResult {
  readonly answer: SolveAnswer;
  readonly outputs: readonly OutputRecord[];
}

/**
 * Refuses what the daemon cannot do, opens a session, solves, and finishes the outputs.
 *
 * What failed on this side (an unreadable file, a missing secret, a full disk) is thrown instead of the
 * daemon's echo of it. The session is closed however it ends.
 */
export async function runSessionSolve(
  owner: SessionOwner & { readonly connection: Connection },
  request: SolveRequest,
  emit: (event: SolveEvent) => void,
): Promise<SessionSolveResult> {
  const { facts, settings } = request;
  const { signal, chooseOutputs } = settings;
  const { connection } = owner;
  signal?.throwIfAborted();
  const known = typeof request.solved === "function" ? undefined : request.solved;
  preflight(facts, settings, known?.definition);
  for (const input of Object.values(known?.frontend?.inputs ?? {})) refuseMissingCaps(facts, input);
  preflightVersions(facts, settings, known?.frontend);
  const asked = settings.outputs ?? [];
  const ordered = exportOrder(asked);
  // Outputs chosen later may need the session's one layout.
  const staged = chooseOutputs === undefined ? stagedTar(ordered) : undefined;
  const outputs = ordered.map((output) => (output === staged?.output ? staged.layout : output));
  const caches = await prepareCaches(settings, owner.env);
  let solved: Solved = known ?? {};
  const chosen: Output[] = [];
  const choose = async (result: FinishedResult): Promise<readonly ExporterChoice[]> => {
    chosen.push(...((await chooseOutputs?.(result)) ?? []));
    await prepareOutputs(chosen);
    for (const [index, output] of chosen.entries()) services.connect(outputs.length + index, output);
    return exporterEntries(chosen, { config: solved.config, sourceDateEpoch: settings.sourceDateEpoch });
  };
  const services = sessionServices(owner, settings, {
    outputs,
    stores: new Map([...(request.stores ?? []), ...caches.stores]),
    blobVersions: request.blobVersions,
    blobAt: request.blobAt,
    chooser: chooseOutputs === undefined ? undefined : choose,
  });
  await prepareOutputs(ordered);
  if (staged !== undefined) await prepareOutputs([staged.layout]);
  const session = openSession(connection, {
    services: services.services,
    sharedKey: settings.sharedKey ?? (known?.frontend === undefined ? hostname() : treesKey(settings)),
  });
  try {
    if (typeof request.solved === "function") {
      solved = await request.solved(session);
      refuseMissingCaps(facts, solved.definition);
    }
    for (const message of caches.skipped) {
      emit({ type: "warning", vertex: "", level: 1, message, detail: [], url: "" });
    }
    const answer = await runSolve(
      connection,
      { request, solved: solvedWithConfig(facts, solved), session, outputs, caches, masks: services.masks },
      emit,
    );
    await caches.finish();
    const all = [...outputs, ...chosen];
    const records = await collectOutputs(all, answer, services);
    if (staged !== undefined) await packStagedTar(staged, signal);
    const byOutput = new Map(
      [...ordered, ...chosen].map((output, index) => [
        output,
        records[index] && { ...records[index], target: outputTarget(output) },
      ]),
    );
    return { answer, outputs: [...asked, ...chosen].flatMap((output) => byOutput.get(output) ?? []) };
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : ownCause(error, services);
  } finally {
    await session.close();
    await services.settled();
    if (staged !== undefined) await removeStaged(staged);
  }
}
