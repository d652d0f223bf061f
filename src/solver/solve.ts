import { create } from "@bufbuild/protobuf";
import type { KilnError } from "../errors.js";
import { Control, SolveRequestSchema, type StatusResponse } from "../gen/moby/buildkit/v1/control_pb.js";
import { randomId } from "../internal/random-id.js";
import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { SolveEvent } from "../model/events.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import type { Session } from "../session/session.js";
import { type AttestationOptions, attestationAttrs } from "./attestation-options.js";
import type { CacheEntry } from "./cache-transfer.js";
import { exporterEntries } from "./exporter-entries.js";
import { createBridge } from "./gateway/bridge.js";
import { driveBuild } from "./gateway/drive-build.js";
import { Gateway } from "./gateway/gateway.js";
import type { GatewayReturn } from "./gateway/result.js";
import type { Output } from "./outputs.js";
import { type SourcePolicy, sourcePolicyToPb } from "./source-policy.js";
import { StatusTracker } from "./status-tracker.js";
import { solveErrorFrom } from "./translate-solve-error.js";

/** The Status stream gets this long to end by itself once the solve has: the last events are still under way. */
const statusIdleMs = 5_000;

/** After an abort the daemon gets this long to report that it stopped. */
const stopGraceMs = 10_000;

/** What {@link runSolve} sends. */
export interface SolveRequestOptions {
  /** The build's id; made up when left out. Must not be that of a running build. */
  readonly ref?: string | undefined;
  /** What to build; `undefined` = an empty (scratch) result. Not read if there is a `build`. */
  readonly definition?: Definition | undefined;
  /** Makes the result by asking the daemon, in place of one definition. Returns what is exported. */
  readonly build?: BuildFunction | undefined;
  /** What the daemon can do, for checks before requests of a `build`. */
  readonly facts?: DaemonFacts | undefined;
  readonly outputs: readonly Output[];
  readonly config: ImageConfig | undefined;
  /** Serves local trees, credentials, secrets and the outputs' targets. Stays open: it is the caller's. */
  readonly session: Session;
  /** E.g. `network.host`, `security.insecure`, `device`. */
  readonly entitlements?: readonly string[] | undefined;
  readonly sourceDateEpoch?: number | undefined;
  readonly cacheExports?: readonly CacheEntry[] | undefined;
  readonly cacheImports?: readonly CacheEntry[] | undefined;
  /** Attestations that the daemon makes of the result. */
  readonly attestations?: AttestationOptions | undefined;
  /** Rules about what the build may be made of. */
  readonly sourcePolicy?: SourcePolicy | undefined;
  /** Pins what exporters do by default to that of a BuildKit generation. */
  readonly compatibilityVersion?: number | undefined;
  /** Asks the session for more exporters once the result is known. */
  readonly choosesOutputs?: boolean | undefined;
  /** Asks the session about each source. */
  readonly verifiesSources?: boolean | undefined;
  /** Keep the build out of the daemon's history. Default false. */
  readonly internal?: boolean | undefined;
  /** Aborting cancels the build on the daemon; the promise settles once the daemon said that it stopped. */
  readonly signal?: AbortSignal | undefined;
}

/** A build as a program on this side: see `Client.build`. `undefined` = an empty result. */
export type BuildFunction = (gateway: Gateway) => Promise<GatewayReturn | undefined>;

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
  options: SolveRequestOptions,
  emit: (event: SolveEvent) => void,
): Promise<SolveAnswer> {
  const { session, signal } = options;
  signal?.throwIfAborted();
  const control = createClient(Control, connection);
  const ref = options.ref ?? randomId();
  const tracker = new StatusTracker(emit);
  const stopSolve = new AbortController();
  const stopStatus = new AbortController();
  const onAbort = (): void => stopSolve.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  let lost: KilnError | undefined;
  void session.lost.then((error) => {
    lost = error;
    stopSolve.abort(error);
  });
  const status = followStatus(control.status({ Ref: ref }, { signal: stopStatus.signal }), tracker);
  try {
    const solving = control.solve(create(SolveRequestSchema, requestBody(ref, options)), {
      signal: stopSolve.signal,
    });
    const { build } = options;
    const response = await (build === undefined
      ? solving
      : runBuild(connection, solving, { ...options, build, ref, tracker, signal: stopSolve.signal }));
    await status.settled(statusIdleMs);
    return { ref, exporterResponse: response.ExporterResponse, ignoredFailures: tracker.failures() };
  } catch (error) {
    // A daemon that is gone has nothing more to report.
    if (lost !== undefined && signal?.aborted !== true) throw lost;
    await status.settled(signal?.aborted === true ? stopGraceMs : statusIdleMs);
    if (signal?.aborted === true) throw signal.reason;
    throw solveErrorFrom(error, tracker);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    stopStatus.abort(new Error("the solve has ended"));
    tracker.end();
  }
}

function runBuild<R>(
  connection: Connection,
  solving: Promise<R>,
  options: {
    readonly build: BuildFunction;
    readonly facts?: DaemonFacts | undefined;
    readonly cacheImports?: readonly CacheEntry[] | undefined;
    readonly ref: string;
    readonly tracker: StatusTracker;
    readonly signal: AbortSignal;
  },
): Promise<R> {
  const { build, facts, cacheImports, ref, tracker, signal } = options;
  const bridge = createBridge(connection, {
    ref,
    signal,
    translate: (error) => solveErrorFrom(error, tracker),
    facts,
  });
  return driveBuild(solving, {
    bridge,
    signal,
    use: () => build(new Gateway(bridge, facts, { cacheImports })),
  });
}

function requestBody(ref: string, options: SolveRequestOptions) {
  const exporters = exporterEntries(options.outputs, {
    config: options.config,
    sourceDateEpoch: options.sourceDateEpoch,
  }).map((entry) => ({ Type: entry.type, Attrs: { ...entry.attrs } }));
  const first = exporters[0];
  const epoch = options.sourceDateEpoch;
  return {
    Ref: ref,
    // Present even for scratch: a Solve with neither definition nor frontend waits for a gateway client.
    ...(options.build === undefined ? { Definition: options.definition?.toMessage() ?? {} } : {}),
    Exporters: exporters,
    // Daemons before 0.13 read only these.
    ExporterDeprecated: first?.Type ?? "",
    ExporterAttrsDeprecated: first?.Attrs ?? {},
    Session: options.session.id,
    FrontendAttrs: {
      ...attestationAttrs(options.attestations),
      ...(epoch === undefined ? {} : { "build-arg:SOURCE_DATE_EPOCH": String(epoch) }),
    },
    Cache: {
      Exports: (options.cacheExports ?? []).map(cacheToPb),
      Imports: (options.cacheImports ?? []).map(cacheToPb),
    },
    ...(options.sourcePolicy === undefined ? {} : { SourcePolicy: sourcePolicyToPb(options.sourcePolicy) }),
    EnableSessionExporter: options.choosesOutputs === true,
    SourcePolicySession: options.verifiesSources === true ? options.session.id : "",
    CompatibilityVersion: BigInt(options.compatibilityVersion ?? 0),
    Entitlements: [...(options.entitlements ?? [])],
    Internal: options.internal === true,
  };
}

function cacheToPb({ type, attrs }: CacheEntry) {
  return { Type: type, Attrs: { ...attrs } };
}

interface StatusFollower {
  /** Waits for the stream's end, or for `idleMs` without a message. Never rejects. */
  settled(idleMs: number): Promise<void>;
}

function followStatus(stream: AsyncIterable<StatusResponse>, tracker: StatusTracker): StatusFollower {
  let onActivity = (): void => {};
  const ended = (async () => {
    try {
      for await (const response of stream) {
        tracker.push(response);
        onActivity();
      }
    } catch {
      // The solve itself says what went wrong; a daemon that has forgotten the build answers NotFound here.
    }
  })();
  return {
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
