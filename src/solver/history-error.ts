import { fromBinary } from "@bufbuild/protobuf";
import { type Status, StatusSchema } from "../gen/google/rpc/status_pb.js";
import { type BuildHistoryRecord, Control } from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import type { Connection } from "../rpc/connection.js";
import { RpcError } from "../rpc/node-error.js";
import { statusDetails } from "../rpc/status-details.js";
import { createClient } from "../rpc/typed-client.js";
import { wholeBlob } from "./history-blob.js";
import { checkRef, findBuild } from "./query-history.js";
import type { SolveError } from "./solve-error.js";
import { StatusTracker } from "./status-tracker.js";
import { solveErrorFrom } from "./translate-solve-error.js";

/** Details are stacks and source maps: some kilobytes. */
const errorLimit = 16 * 1024 * 1024;

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
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<SolveError | undefined> {
  const call = "historyError()";
  checkRef(call, ref);
  checkOptions(call, options, ["signal"]);
  const { signal } = options;
  const { record } = await findBuild(connection, ref, signal);
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
