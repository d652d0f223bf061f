import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { KilnError } from "../errors.js";
import { Control, SolveRequestSchema, type StatusResponse } from "../gen/moby/buildkit/v1/control_pb.js";
import type { SolveEvent } from "../model/events.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import type { SecretMasks } from "../session/secret-masks.js";
import type { Session } from "../session/session.js";
import type { CacheEntry, CacheTransfer } from "./caches/cache-transfer.js";
import { cancelWhenBegun } from "./cancel-when-begun.js";
import { exporterEntries } from "./exporter-entries.js";
import type { FrontendRequest } from "./frontend/frontend-solve.js";
import { createBridge } from "./gateway/bridge.js";
import { driveBuild } from "./gateway/drive-build.js";
import { Gateway } from "./gateway/gateway.js";
import type { Output } from "./outputs.js";
import type { BuildFunction, Solved, SolveRequest } from "./solve-request.js";
import { StatusTracker } from "./status-tracker.js";
import { attestationAttrs } from "./supply-chain/attestation-options.js";
import { sourcePolicyToPb } from "./supply-chain/source-policy.js";
import { solveErrorFrom } from "./translate-solve-error.js";

/** Log of one Status message that is handed on without letting readers read in between. */
const logBytesAtOnce = 256 * 1024;

/** The Status stream gets this long to end by itself once the solve has: the last events are still under way. */
const statusIdleMs = 5_000;

/** After a solve that failed the first message of its Status stream gets this long. */
const statusBeginMs = 500;

/** After an abort the daemon gets this long to report that it stopped. */
const stopGraceMs = 10_000;

/** A request with what was made ready for it on this side. */
export interface PreparedSolve {
  readonly request: SolveRequest;
  readonly solved: Solved;
  /** Serves local trees, credentials, secrets and the outputs' targets. Stays open: it is the caller's. */
  readonly session: Session;
  /** The request's outputs in the order of the daemon's exporters. */
  readonly outputs: readonly Output[];
  readonly caches: Pick<CacheTransfer, "exports" | "imports">;
  /** What must not show in events and errors. */
  readonly masks: SecretMasks;
}

/** A part of a build that failed although the build as a whole succeeded. */
export interface IgnoredFailure {
  /** The daemon's digest of it. */
  readonly vertex: string;
  /** E.g. `importing cache manifest from …`. */
  readonly name: string;
  readonly error: string;
}

/** What the daemon answered to a solve. */
export interface SolveAnswer {
  readonly ref: string;
  /** What failed without the solve failing: caches that could not be read or written, mostly. */
  readonly ignoredFailures: readonly IgnoredFailure[];
  /** Keys such as `containerimage.digest`; all exporters write into the one map. */
  readonly exporterResponse: Readonly<Record<string, string>>;
}

/**
 * Runs one solve and reports its progress.
 *
 * `emit` is called for every event, in order, until the promise settles. Rejects with a `SolveError` for a
 * build that failed, with `ERR_KILN_CONNECTION_LOST` when the daemon or the session went away, or with the
 * signal's reason.
 */
export async function runSolve(
  connection: Connection,
  prepared: PreparedSolve,
  emit: (event: SolveEvent) => void,
): Promise<SolveAnswer> {
  const { session, request } = prepared;
  const { ref } = request;
  const { signal } = request.settings;
  signal?.throwIfAborted();
  const control = createClient(Control, connection);
  const tracker = new StatusTracker(emit, prepared.masks);
  const stopSolve = new AbortController();
  const stopStatus = new AbortController();
  let takeBack = (): void => {};
  const onAbort = (): void => {
    const { buildkitVersion } = request.facts;
    const youngestMs = (): number | undefined => tracker.youngestMs();
    takeBack = cancelWhenBegun({ buildkitVersion, youngestMs }, () => stopSolve.abort(signal?.reason));
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  let lost: KilnError | undefined;
  void session.lost.then((error) => {
    lost = error;
    stopSolve.abort(error);
  });
  const status = followStatus(control.status({ Ref: ref }, { signal: stopStatus.signal }), tracker);
  try {
    const solving = control.solve(create(SolveRequestSchema, requestBody(prepared)), {
      signal: stopSolve.signal,
    });
    const { build } = prepared.solved;
    const response = await (build === undefined
      ? solving
      : runBuild(connection, solving, { prepared, build, tracker, signal: stopSolve.signal }));
    await status.settled(statusIdleMs);
    return { ref, exporterResponse: response.ExporterResponse, ignoredFailures: tracker.failures() };
  } catch (error) {
    // A daemon that is gone has nothing more to report.
    if (lost !== undefined && signal?.aborted !== true) throw lost;
    // What is refused before it is a build has no progress: the daemon would look for it for six seconds.
    const patienceMs = status.begun ? statusIdleMs : statusBeginMs;
    await status.settled(signal?.aborted === true ? stopGraceMs : patienceMs);
    if (signal?.aborted === true) throw signal.reason;
    throw solveErrorFrom(error, tracker);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    takeBack();
    stopStatus.abort(new Error("the solve has ended"));
    tracker.end();
  }
}

function runBuild<R>(
  connection: Connection,
  solving: Promise<R>,
  options: {
    readonly prepared: PreparedSolve;
    readonly build: BuildFunction;
    readonly tracker: StatusTracker;
    readonly signal: AbortSignal;
  },
): Promise<R> {
  const { prepared, build, tracker, signal } = options;
  const { ref, facts } = prepared.request;
  const bridge = createBridge(connection, {
    ref,
    signal,
    translate: (error) => solveErrorFrom(error, tracker),
    facts,
  });
  return driveBuild(solving, {
    bridge,
    signal,
    use: () => build(new Gateway(bridge, facts, { cacheImports: prepared.caches.imports })),
  });
}

function requestBody({ request, solved, session, outputs, caches }: PreparedSolve) {
  const { settings } = request;
  const { sourceDateEpoch: epoch, sourcePolicy } = settings;
  const { frontend } = solved;
  const exporters = exporterEntries(outputs, { config: solved.config, sourceDateEpoch: epoch }).map(
    (entry) => ({ Type: entry.type, Attrs: { ...entry.attrs } }),
  );
  const first = exporters[0];
  return {
    Ref: request.ref,
    // Present even for scratch: a Solve with neither definition nor frontend waits for a gateway client.
    ...(solved.build === undefined && frontend === undefined
      ? { Definition: solved.definition?.toMessage() ?? {} }
      : {}),
    Frontend: frontend?.frontend ?? "",
    FrontendInputs: Object.fromEntries(
      Object.entries(frontend?.inputs ?? {}).map(([name, input]) => [name, input.toMessage()]),
    ),
    Exporters: exporters,
    // Daemons before 0.13 read only these.
    ExporterDeprecated: first?.Type ?? "",
    ExporterAttrsDeprecated: first?.Attrs ?? {},
    Session: session.id,
    FrontendAttrs: {
      ...attestationAttrs(settings.attestations),
      ...(epoch === undefined ? {} : { "build-arg:SOURCE_DATE_EPOCH": String(epoch) }),
      ...(frontend === undefined ? {} : frontendAttrs(frontend, caches.imports)),
    },
    Cache: { Exports: caches.exports.map(cacheToPb), Imports: caches.imports.map(cacheToPb) },
    ...(sourcePolicy === undefined ? {} : { SourcePolicy: sourcePolicyToPb(sourcePolicy) }),
    EnableSessionExporter: settings.chooseOutputs !== undefined,
    SourcePolicySession: settings.verifySource === undefined ? "" : session.id,
    CompatibilityVersion: BigInt(settings.compatibilityVersion ?? 0),
    ProxyNetwork: settings.proxyNetwork === true,
    Entitlements: [...(settings.entitlements ?? [])],
    Internal: settings.internal === true,
  };
}

// A frontend solves by itself, and the daemon gives its solves no caches but those that it names.
function frontendAttrs(frontend: FrontendRequest, imports: readonly CacheEntry[]): Record<string, string> {
  return imports.length === 0
    ? frontend.attrs
    : { ...frontend.attrs, "cache-imports": JSON.stringify(imports.map(cacheToPb)) };
}

function cacheToPb({ type, attrs }: CacheEntry) {
  return { Type: type, Attrs: { ...attrs } };
}

/** A message with more log than an iterator of events holds unread, as several that have less. */
function* inParts(response: StatusResponse): Generator<StatusResponse, void, void> {
  let bytes = 0;
  for (const { msg } of response.logs) bytes += msg.length;
  if (bytes <= logBytesAtOnce) {
    yield response;
    return;
  }
  yield { ...response, logs: [] };
  let logs: StatusResponse["logs"] = [];
  let size = 0;
  for (const log of response.logs) {
    logs.push(log);
    size += log.msg.length;
    if (size < logBytesAtOnce) continue;
    yield { ...response, vertexes: [], statuses: [], warnings: [], logs };
    logs = [];
    size = 0;
  }
  if (logs.length > 0) yield { ...response, vertexes: [], statuses: [], warnings: [], logs };
}

interface StatusFollower {
  /** Whether there was a message. */
  readonly begun: boolean;
  /** Waits for the stream's end, or for `idleMs` without a message. Never rejects. */
  settled(idleMs: number): Promise<void>;
}

function followStatus(stream: AsyncIterable<StatusResponse>, tracker: StatusTracker): StatusFollower {
  let onActivity = (): void => {};
  let begun = false;
  const ended = (async () => {
    try {
      for await (const response of stream) {
        begun = true;
        for (const part of inParts(response)) {
          tracker.push(part);
          // Whoever reads the events gets to: what is unread beyond a limit is dropped.
          if (part !== response) await nextTurn();
        }
        onActivity();
      }
    } catch {
      // The solve itself says what went wrong; a daemon that has forgotten the build answers NotFound here.
    }
  })();
  return {
    get begun() {
      return begun;
    },
    settled: (idleMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, idleMs);
        onActivity = () => timer.refresh();
        void ended.then(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}
