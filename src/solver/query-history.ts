import { KilnError } from "../errors.js";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  Control,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";

/** A build of the daemon's history as it came. */
export interface RawHistoryRecord {
  readonly record: BuildHistoryRecord;
  readonly type: BuildHistoryEventType;
}

/** The builds that a daemon knows of at the moment, in its order; `ref` = that one alone. */
export async function queryHistory(
  connection: Connection,
  options: {
    readonly ref?: string | undefined;
    readonly activeOnly?: boolean | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<readonly RawHistoryRecord[]> {
  const { ref, activeOnly, signal } = options;
  // The ref is compared here: asked for by ref, a build that was just deleted is an error without a status of its own.
  const request = { ActiveOnly: activeOnly === true, EarlyExit: true };
  // A build that ends while it is listed comes twice: what comes later is newer. The daemon's own limit is not used:
  // those before 0.20 would pass over it.
  const byRef = new Map<string, RawHistoryRecord>();
  for await (const { type, record } of createClient(Control, connection).listenBuildHistory(request, {
    signal,
  })) {
    if (record === undefined || (ref !== undefined && record.Ref !== ref)) continue;
    if (type === BuildHistoryEventType.DELETED) byRef.delete(record.Ref);
    else byRef.set(record.Ref, { record, type });
  }
  return [...byRef.values()];
}

/** The one build of that ref. Rejects with `ERR_KILN_BUILD_NOT_FOUND`, `RpcError`, or the signal's reason. */
export async function findBuild(
  connection: Connection,
  ref: string,
  signal: AbortSignal | undefined,
): Promise<RawHistoryRecord> {
  const [found] = await queryHistory(connection, { ref, signal });
  if (found === undefined) throw unknownBuild(ref, undefined);
  return found;
}

/** The error for a build that the daemon does not know. */
export function unknownBuild(ref: string, cause: unknown): KilnError {
  return new KilnError("ERR_KILN_BUILD_NOT_FOUND", `the daemon knows no build ${ref}`, {
    hint: "history() lists what it knows. Builds with internal: true are never in it, old ones are cleared.",
    cause,
  });
}

/** Refuses what cannot be the ref of a build. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkRef(call: string, ref: unknown): asserts ref is string {
  if (typeof ref === "string" && ref !== "") return;
  throw wrongArgument(
    call,
    "ref must be a text that is not empty",
    "Pass the ref of a solve, or of a record of history().",
  );
}
