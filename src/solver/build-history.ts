import { Control } from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { SolveEvent } from "../model/events.js";
import type { Connection } from "../rpc/connection.js";
import { RpcError } from "../rpc/rpc-error.js";
import { createClient } from "../rpc/typed-client.js";
import { type HistoryRecord, historyRecordFromPb } from "./history-record.js";
import { checkRef, findBuild, queryHistory, unknownBuild } from "./query-history.js";
import { StatusTracker } from "./status-tracker.js";

/** What {@link listHistory} may be told. */
export interface HistoryOptions {
  /** Only this build. */
  readonly ref?: string | undefined;
  /** Only builds that are running. Default false. */
  readonly activeOnly?: boolean | undefined;
  /** Only the newest so many. Default all that the daemon keeps. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The builds that a daemon knows of, newest first (`Control.ListenBuildHistory`).
 *
 * Rejects with `ERR_KILN_UNKNOWN_OPTION`, `ERR_KILN_INVALID_ARGUMENT`, `RpcError`, or the signal's reason.
 */
export async function listHistory(
  connection: Connection,
  options: HistoryOptions = {},
): Promise<readonly HistoryRecord[]> {
  const call = "history()";
  checkOptions(call, options, ["ref", "activeOnly", "limit", "signal"]);
  const { ref, activeOnly, limit, signal } = options;
  if (ref !== undefined) checkRef(call, ref);
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw wrongArgument(call, "limit must be a whole number, 1 or more", "Leave it out for all builds.");
  }
  if (activeOnly !== undefined && typeof activeOnly !== "boolean") {
    throw wrongArgument(call, "activeOnly must be a boolean", "Leave it out for all builds.");
  }
  const found = await queryHistory(connection, { ref, activeOnly, signal });
  const records = found.map(({ record, type }) => historyRecordFromPb(record, type));
  const newestFirst = records.sort((a, b) => timeOf(b) - timeOf(a));
  return limit === undefined ? newestFirst : newestFirst.slice(0, limit);
}

/**
 * Pins a build in the daemon's history, or lets it go again (`Control.UpdateBuildHistory`).
 *
 * Rejects with `ERR_KILN_BUILD_NOT_FOUND`, `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`, `RpcError`, or the
 * signal's reason.
 */
export async function pinHistory(
  connection: Connection,
  ref: string,
  pinned: boolean,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const call = "pinHistory()";
  checkRef(call, ref);
  checkOptions(call, options, ["signal"]);
  if (typeof pinned !== "boolean")
    throw wrongArgument(call, "pinned must be a boolean", "Pass true to keep the build.");
  await update(connection, { Ref: ref, Pinned: pinned }, options.signal);
}

/**
 * Removes a build from the daemon's history, pinned or not; what it made stays. Rejects as {@link pinHistory} does.
 */
export async function deleteHistory(
  connection: Connection,
  ref: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const call = "deleteHistory()";
  checkRef(call, ref);
  checkOptions(call, options, ["signal"]);
  await update(connection, { Ref: ref, Delete: true }, options.signal);
}

/**
 * The events of a build that somebody started, this client or another: of a running one from its beginning on and then
 * as they come, of a finished one as the history has them (`Control.Status`).
 *
 * Ends with the build. Leaving the loop early leaves the build alone. Throws `ERR_KILN_INVALID_ARGUMENT` and
 * `ERR_KILN_UNKNOWN_OPTION` at the call. The loop throws `ERR_KILN_BUILD_NOT_FOUND` for a ref that the daemon does not
 * know (BuildKit waits up to six seconds for it), `RpcError`, or the signal's reason.
 */
export function followBuild(
  connection: Connection,
  ref: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<SolveEvent, void, undefined> {
  const call = "follow()";
  checkRef(call, ref);
  checkOptions(call, options, ["signal"]);
  return followStatus(connection, ref, options.signal);
}

async function* followStatus(
  connection: Connection,
  ref: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<SolveEvent, void, undefined> {
  const events: SolveEvent[] = [];
  const tracker = new StatusTracker((event) => events.push(event));
  try {
    for await (const response of createClient(Control, connection).status({ Ref: ref }, { signal })) {
      tracker.push(response);
      yield* events.splice(0);
    }
  } catch (error) {
    throw notFound(error, ref);
  }
  tracker.end();
  yield* events.splice(0);
}

async function update(
  connection: Connection,
  change: { readonly Ref: string; readonly Pinned?: boolean; readonly Delete?: boolean },
  signal: AbortSignal | undefined,
): Promise<void> {
  // Asked first: daemons answer the update of an unknown build in different ways, some as if it were done.
  await findBuild(connection, change.Ref, signal);
  try {
    await createClient(Control, connection).updateBuildHistory(change, { signal });
  } catch (error) {
    throw notFound(error, change.Ref);
  }
}

function notFound(error: unknown, ref: string): unknown {
  const isUnknown = error instanceof RpcError && error.statusName === "NOT_FOUND";
  return isUnknown ? unknownBuild(ref, error) : error;
}

function timeOf(record: HistoryRecord): number {
  return record.createdAt?.getTime() ?? 0;
}
