import { once } from "node:events";
import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import { KilnError } from "../errors.js";
import { createDeferred } from "../internal/deferred.js";
import { randomId } from "../internal/random-id.js";
import { type Connection, messageLimit } from "../rpc/connection.js";
import { openSessionPipe } from "../rpc/session-pipe.js";
import { type Attachable, methodPath } from "./grpc/service.js";
import { SessionServer } from "./grpc/session-server.js";
import { healthService } from "./health.js";
import { Liveness } from "./liveness.js";

/**
 * How long the daemon is asked to wait for an answer to its health checks, from BuildKit 0.30 on; older ones have their
 * own 15 or 30 s. A Node process may be busy for a while.
 */
const healthTimeoutMs = 30_000;
const healthTimeoutHeader = "x-buildkit-session-health-custom-timeout";

/** How long a closing session waits for the daemon to end its side. */
const closeGraceMs = 2_000;

/** Options of {@link openSession}. */
export interface SessionOptions {
  /** What the daemon may call back; health is always there. */
  readonly services: readonly Attachable[];
  /** The session's id; made up when left out. Must be unique among the daemon's sessions. */
  readonly id?: string | undefined;
  /** Joins the daemon's copies of local directories across sessions; default empty. */
  readonly sharedKey?: string | undefined;
}

/**
 * A session: HTTP/2 with the roles reversed inside one call of the daemon's, over which it asks its client
 * for files, credentials and secrets and hands over results.
 */
export interface Session extends AsyncDisposable {
  readonly id: string;
  /** Resolves with an error when the session ends without `close`; never resolves otherwise. */
  readonly lost: Promise<KilnError>;
  /** Ends the session; calls in flight are cut off. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a session on a connection.
 *
 * Returns at once: the daemon picks it up when a build names its id, and waits some seconds for it. Metadata
 * keys are BuildKit's (`session/grpchijack`).
 */
export function openSession(connection: Connection, options: SessionOptions): Session {
  const id = options.id ?? randomId();
  const liveness = new Liveness();
  const services = [healthService(() => liveness.sign()), ...options.services];
  const server = new SessionServer(services, { messageLimit });
  const channel = connection.client;
  const stop = new AbortController();
  const metadata = {
    "x-docker-expose-session-uuid": id,
    "x-docker-expose-session-sharedkey": options.sharedKey ?? "",
    "x-docker-expose-session-grpc-method": services.flatMap((service) =>
      service.methods.map((method) => methodPath(service, method)),
    ),
    [healthTimeoutHeader]: String(healthTimeoutMs),
  };
  const opening = openSessionPipe(connection, metadata, stop.signal);
  const lost = createDeferred<KilnError>();
  let closing: Promise<void> | undefined;
  opening.then(
    (pipe) => {
      let failure: Error | undefined;
      liveness.watch((silentMs) => {
        // Without this the next build would be sent into the same silence.
        connection.abandon(channel);
        pipe.destroy(silence(silentMs));
      });
      pipe.once("error", (error) => {
        failure = error;
      });
      pipe.once("close", () => {
        liveness.stop();
        if (closing === undefined) lost.resolve(lostError(failure));
        server.shutdown();
      });
      server.serve(pipe);
    },
    (error: unknown) => lost.resolve(lostError(error as Error)),
  );
  const close = (): Promise<void> => {
    // A daemon that does not answer must not hold up whoever closes.
    stop.abort();
    closing ??= opening.then(
      (pipe) => closePipe(pipe, server),
      () => {},
    );
    return closing;
  };
  return { id, lost: lost.promise, close, [Symbol.asyncDispose]: close };
}

function silence(silentMs: number): KilnError {
  return new KilnError(
    "ERR_KILN_CONNECTION_LOST",
    `nothing was heard from the daemon for ${Math.round(silentMs / 1000)} s: the connection is dead on one side`,
    {
      hint: "Check the network between here and the daemon, then build again: what was built is cached.",
    },
  );
}

async function closePipe(pipe: Duplex, server: SessionServer): Promise<void> {
  if (!pipe.destroyed) {
    const patience = AbortSignal.timeout(closeGraceMs);
    pipe.on("error", () => {});
    // Half-close first: the daemon then ends the call itself and forgets the session without an error.
    pipe.end();
    pipe.resume();
    await finished(pipe, { signal: patience }).catch(() => {});
    if (!pipe.destroyed) {
      const closed = once(pipe, "close");
      pipe.destroy();
      await closed;
    }
  }
  server.shutdown();
}

function lostError(failure: Error | undefined): KilnError {
  if (failure instanceof KilnError) return failure;
  return new KilnError(
    "ERR_KILN_CONNECTION_LOST",
    `the daemon ended the session${failure === undefined ? "" : `: ${failure.message}`}`,
    {
      ...(failure === undefined ? {} : { cause: failure }),
      hint: "It does so when it shuts down, or when this process did not answer its health checks for 20 s.",
    },
  );
}
