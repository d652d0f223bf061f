import { fromBinary } from "@bufbuild/protobuf";
import { type Status, StatusSchema } from "../gen/google/rpc/status_pb.js";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  Control,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { Connection } from "../rpc/connection.js";
import { RpcError } from "../rpc/rpc-error.js";
import { statusDetails } from "../rpc/status-details.js";
import { createClient } from "../rpc/typed-client.js";
import { wholeBlob } from "./history-blob.js";
import { checkRef, findBuild, type RawHistoryRecord, unknownBuild } from "./query-history.js";
import type { SolveError } from "./solve-error.js";
import { StatusTracker } from "./status-tracker.js";
import { solveErrorFrom } from "./translate-solve-error.js";

/** Details are stacks and source maps: some kilobytes. */
const errorLimit = 16 * 1024 * 1024;

/** What {@link historyError} may be told. */
export interface HistoryErrorOptions {
  /** Wait for the end of a build that still runs. Default false. */
  readonly wait?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Why a build of the daemon's history failed, as its solve would have rejected: op, exit code and details from the error
 * that the daemon keeps, name and last lines from the build's log. `undefined` for a build that did not fail, or still runs.
 *
 * The error is not thrown. Rejects with `ERR_KILN_BUILD_NOT_FOUND`, with what `readHistoryBlob` throws for the error's
 * blob, `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`, `RpcError`, or the signal's reason.
 */
export async function historyError(
  connection: Connection,
  ref: string,
  options: HistoryErrorOptions = {},
): Promise<SolveError | undefined> {
  const call = "historyError()";
  checkRef(call, ref);
  checkOptions(call, options, ["wait", "signal"]);
  const { wait, signal } = options;
  if (wait !== undefined && typeof wait !== "boolean") {
    throw wrongArgument(call, "wait must be a boolean", "Pass true to wait for the build's end.");
  }
  const found = await findBuild(connection, ref, signal);
  const isOver = found.type === BuildHistoryEventType.COMPLETE;
  if (!isOver && wait !== true) return undefined;
  const { record } = isOver ? found : await ended(connection, ref, signal);
  if (record.error === undefined) return undefined;
  const status = await statusOf(connection, record, record.error, signal);
  const tracker = new StatusTracker(() => {});
  // A record without logs ends the stream at once.
  for await (const response of createClient(Control, connection).status({ Ref: ref }, { signal })) {
    tracker.push(response);
  }
  const error = new RpcError("ERR_KILN_RPC", status.message, {
    status: status.code,
    details: statusDetails(status.details),
  });
  return solveErrorFrom(error, tracker) as SolveError;
}

/** The record of a build once it is over: a running one is told of by its end, or by having been removed. */
async function ended(
  connection: Connection,
  ref: string,
  signal: AbortSignal | undefined,
): Promise<RawHistoryRecord> {
  const control = createClient(Control, connection);
  // Gives what there is at the moment, then what changes.
  for await (const { type, record } of control.listenBuildHistory({ Ref: ref }, { signal })) {
    if (record?.Ref !== ref) continue;
    if (type === BuildHistoryEventType.DELETED) break;
    if (type === BuildHistoryEventType.COMPLETE) return { type, record };
  }
  throw unknownBuild(ref, undefined);
}

async function statusOf(
  connection: Connection,
  { externalError }: BuildHistoryRecord,
  inRecord: Status,
  signal: AbortSignal | undefined,
): Promise<Status> {
  if (externalError === undefined) return inRecord;
  const blob = { digest: externalError.digest, size: Number(externalError.size) };
  const bytes = await wholeBlob(connection, blob, { limit: errorLimit, signal });
  try {
    return fromBinary(StatusSchema, bytes);
  } catch {
    // Of a form that this client does not know: the record still has the message.
    return inRecord;
  }
}
