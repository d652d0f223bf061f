import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { KilnError } from "../errors.js";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  Control,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { SolveEvent } from "../model/events.js";
import type { Connection } from "../rpc/connection.js";
import { RpcError } from "../rpc/node-error.js";
import { createClient } from "../rpc/typed-client.js";
import { StatusTracker } from "./status-tracker.js";

/** One build in a daemon's history. */
export interface HistoryRecord {
  /** The build's id, chosen by the client that made it. */
  readonly ref: string;
  readonly state: "running" | "complete";
  /** Name of the frontend, e.g. `dockerfile.v0`; empty for a definition of the client's own. */
  readonly frontend: string;
  readonly frontendAttrs: Readonly<Record<string, string>>;
  /** Exporter types in the order of the request, e.g. `image`, `local`. Docker 26 (BuildKit 0.13) records none. */
  readonly exporters: readonly string[];
  /** The daemon's raw answer, e.g. `containerimage.digest`. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  readonly createdAt: Date | undefined;
  readonly completedAt: Date | undefined;
  /** Why the build failed; `undefined` = it did not, or it still runs. */
  readonly error: { readonly message: string } | undefined;
  /** Kept when the daemon clears its history. */
  readonly pinned: boolean;
  /** All zero where the daemon does not count (before BuildKit 0.12). */
  readonly steps: { readonly total: number; readonly cached: number; readonly completed: number };
}

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
  // The ref is compared here: asked for by ref, a build that was just deleted is an error without a status of its own.
  const request = { ActiveOnly: activeOnly === true, EarlyExit: true };
  // A build that ends while it is listed comes twice: what comes later is newer. The daemon's own limit is not used:
  // those before 0.20 would pass over it.
  const byRef = new Map<string, HistoryRecord>();
  for await (const { type, record } of createClient(Control, connection).listenBuildHistory(request, {
    signal,
  })) {
    if (record === undefined || (ref !== undefined && record.Ref !== ref)) continue;
    if (type === BuildHistoryEventType.DELETED) byRef.delete(record.Ref);
    else byRef.set(record.Ref, fromPb(record, type));
  }
  const newestFirst = [...byRef.values()].sort((a, b) => timeOf(b) - timeOf(a));
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
  const known = await listHistory(connection, { ref: change.Ref, signal });
  if (known.length === 0) throw unknownBuild(change.Ref, undefined);
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

function unknownBuild(ref: string, cause: unknown): KilnError {
  return new KilnError("ERR_KILN_BUILD_NOT_FOUND", `the daemon knows no build ${ref}`, {
    hint: "history() lists what it knows. Builds with internal: true are never in it, old ones are cleared.",
    cause,
  });
}

function fromPb(record: BuildHistoryRecord, type: BuildHistoryEventType): HistoryRecord {
  return {
    ref: record.Ref,
    state:
      type === BuildHistoryEventType.COMPLETE || record.CompletedAt !== undefined ? "complete" : "running",
    frontend: record.Frontend,
    frontendAttrs: record.FrontendAttrs,
    exporters: record.Exporters.map((exporter) => exporter.Type),
    exporterResponse: record.ExporterResponse,
    createdAt: dateOf(record.CreatedAt),
    completedAt: dateOf(record.CompletedAt),
    error: record.error === undefined ? undefined : { message: record.error.message },
    pinned: record.pinned,
    steps: {
      total: record.numTotalSteps,
      cached: record.numCachedSteps,
      completed: record.numCompletedSteps,
    },
  };
}

function dateOf(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}

function timeOf(record: HistoryRecord): number {
  return record.createdAt?.getTime() ?? 0;
}

function checkRef(call: string, ref: unknown): asserts ref is string {
  if (typeof ref === "string" && ref !== "") return;
  throw wrongArgument(
    call,
    "ref must be a text that is not empty",
    "Pass the ref of a solve, or of a record of history().",
  );
}
