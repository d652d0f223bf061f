import type { Agent, IncomingHttpHeaders, IncomingMessage, request } from "node:http";
import type { AgentOptions } from "node:https";
import { KilnError } from "../../errors.js";

/** Certificates for a registry's own server. */
export interface TransportTls {
  /** PEM text of certificate authorities, beside those that Node trusts. */
  readonly ca?: string | undefined;
  /** PEM text of a client certificate and its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** What a request sends: so many bytes, which can be had again for a second try. */
export interface HttpBody {
  readonly length: number;
  open(): AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;
}

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpBody | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * `own`: the registry's server, with its certificates; `unchecked`: the same, whatever its certificate; `other`: another
   * server that it leads to.
   */
  readonly trust: "own" | "unchecked" | "other";
}

/** An answer; its stream has to be read or destroyed. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly stream: IncomingMessage;
}

/** Idle connections that are kept, and requests at once, to one server. */
const socketLimit = 8;

/**
 * HTTP and HTTPS requests over connections that are used again.
 *
 * It knows no retries, redirects or logins. Idle connections keep no process alive.
 */
export class HttpTransport {
  readonly #tls: TransportTls;
  readonly #idleMs: number;
  /** By scheme and trust. */
  readonly #ways = new Map<string, Promise<Way>>();

  /** `idleMs`: how long nothing may be heard of a server. */
  constructor(tls: TransportTls, idleMs: number) {
    this.#tls = tls;
    this.#idleMs = idleMs;
  }

  /** Sends a request. Rejects with the socket's error, or the signal's reason; an answer of whatever status is one. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { url, signal } = request;
    signal?.throwIfAborted();
    const isPlain = url.protocol === "http:";
    const key = isPlain ? "plain" : request.trust;
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = isPlain ? openPlain() : openSecure(request.trust, this.#tls);
      this.#ways.set(key, way);
    }
    const opened = await way;
    for (let stale = 0; ; stale += 1) {
      try {
        return await exchange(request, opened, this.#idleMs);
      } catch (error) {
        if (!(error instanceof StaleConnection)) throw error;
        if (stale > socketLimit) throw error.cause;
      }
    }
  }

  /** Closes the connections; requests under way fail. */
  close(): void {
    for (const way of this.#ways.values()) void way.then(({ agent }) => agent.destroy());
  }
}

type Make = typeof request;

interface Way {
  readonly make: Make;
  readonly agent: Agent;
}

// Both are loaded when they are needed: that takes longer than a request to this machine.
async function openPlain(): Promise<Way> {
  const http = await import("node:http");
  return { make: http.request, agent: new http.Agent({ keepAlive: true, maxSockets: socketLimit }) };
}

async function openSecure(trust: HttpRequest["trust"], tls: TransportTls): Promise<Way> {
  const [https, { rootCertificates }] = await Promise.all([import("node:https"), import("node:tls")]);
  const own: AgentOptions =
    trust === "other"
      ? {}
      : {
          ...(tls.ca === undefined ? {} : { ca: [...rootCertificates, tls.ca] }),
          ...(tls.cert === undefined || tls.key === undefined ? {} : { cert: tls.cert, key: tls.key }),
          rejectUnauthorized: trust === "own",
        };
  const agent = new https.Agent({ keepAlive: true, maxSockets: socketLimit, ...own });
  return { make: https.request, agent };
}

/** A kept connection that the server had closed before it could see the request: another one may do. */
class StaleConnection extends Error {}

/** The error of a server that is not heard of. */
class Silence extends Error {
  readonly code = "ETIMEDOUT";

  constructor(ms: number) {
    super(`nothing was heard for ${Math.round(ms / 1000)} s`);
  }
}

function exchange(
  { method, url, headers, body, signal }: HttpRequest,
  { make, agent }: Way,
  idleMs: number,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(body.length) };
    const call = make(url, {
      ...{ method, agent, timeout: idleMs, headers: { ...headers, ...length } },
      ...(signal === undefined ? {} : { signal }),
    });
    let answer: IncomingMessage | undefined;
    let poured: Promise<void> | undefined;
    let isSent = body === undefined;
    call.on("timeout", () => (answer ?? call).destroy(new Silence(idleMs)));
    // After the answer: of no interest, but it must be heard.
    call.on("error", (error) => {
      const isStale =
        call.reusedSocket && answer === undefined && "code" in error && error.code === "ECONNRESET";
      if (signal?.aborted === true) reject(signal.reason);
      else reject(isStale ? new StaleConnection(error.message, { cause: error }) : error);
    });
    call.once("response", (stream) => {
      answer = stream;
      const told = { status: stream.statusCode ?? 0, headers: stream.headers, stream };
      const refused = told.status >= 300;
      if (!isSent && refused) stream.once("close", () => call.destroy());
      // A server that takes the body does not answer before it has it.
      if (isSent || refused || poured === undefined) resolve(told);
      else poured.then(() => resolve(told), reject);
    });
    if (body === undefined) {
      call.end();
      return;
    }
    poured = pour(body, call, () => answer !== undefined && (answer.statusCode ?? 0) >= 300).then(() => {
      isSent = true;
    });
    poured.catch((error: unknown) => {
      call.destroy(error instanceof Error ? error : new Error(String(error)));
      reject(signal?.aborted === true ? signal.reason : error);
    });
  });
}

/** Writes a body into a request; stops where the server has refused it, or is gone. */
async function pour(body: HttpBody, call: ReturnType<Make>, isRefused: () => boolean): Promise<void> {
  let sent = 0;
  for await (const bytes of await body.open()) {
    sent += bytes.length;
    if (sent > body.length) throw changed(body.length, `has more`);
    if (!call.write(bytes)) await drained(call);
    if (isRefused() || call.destroyed) return;
  }
  if (sent !== body.length) throw changed(body.length, `has ${sent}`);
  call.end();
}

function drained(call: ReturnType<Make>): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      for (const name of ["drain", "close", "response"]) call.off(name, over);
      resolve();
    };
    for (const name of ["drain", "close", "response"]) call.on(name, over);
  });
}

function changed(length: number, what: string): KilnError {
  return new KilnError("ERR_KILN_FILE_CHANGED", `a blob of ${length} bytes that is to be uploaded ${what}`, {
    hint: "Its source changed meanwhile, or its descriptor is wrong.",
  });
}
