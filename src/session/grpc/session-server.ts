import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { status } from "@grpc/grpc-js";
import { type RawHeaders, ServerCall } from "./server-call.js";
import { type Attachable, methodPath, type SessionMethod } from "./service.js";
import { ServiceRefusal, statusOf } from "./status.js";

/** Bytes the daemon may send before it must wait: 64 KiB is HTTP/2's own, far too little for exports. */
const windowBytes = 8 * 1024 * 1024;
/** Headers one request may have, and their bytes: each include pattern is one. Node's own limit is 128. */
const headerPairs = 65_536;
const headerBytes = 16 * 1024 * 1024;
/** MB that one connection may hold; what is on its way out of several calls counts too. */
const connectionMegabytes = 128;

/**
 * A gRPC server for one connection that is there already, the session's.
 *
 * Not grpc-js's: a tree of a hundred thousand files is some hundred thousand messages, each of which costs there as
 * much as reading the file. This one hands whole batches to the transport, keeps repeated headers apart (patterns may
 * hold the commas that Node would join them with), and tells a call that was broken off from one that ended.
 */
export class SessionServer {
  readonly #server: Http2Server;
  readonly #methods = new Map<string, SessionMethod>();
  readonly #messageLimit: number;
  readonly #sessions = new Set<ServerHttp2Session>();

  /** @param options - `messageLimit`: the most bytes a message from the daemon may have. */
  constructor(services: readonly Attachable[], options: { readonly messageLimit: number }) {
    this.#messageLimit = options.messageLimit;
    for (const service of services) {
      for (const method of service.methods) this.#methods.set(methodPath(service, method), method);
    }
    this.#server = createServer({
      maxHeaderListPairs: headerPairs,
      maxSessionMemory: connectionMegabytes,
      settings: { initialWindowSize: windowBytes, maxHeaderListSize: headerBytes },
    });
    this.#server.on("session", (session) => {
      session.setLocalWindowSize(windowBytes);
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      // The connection's own end tells its owner more.
      session.on("error", () => {});
    });
    this.#server.on("sessionError", () => {});
    this.#server.on("stream", (stream, headers, _flags, raw?: RawHeaders) =>
      this.#answer(stream, headers, raw),
    );
  }

  /** Serves a connection on which the other side speaks HTTP/2 with prior knowledge. */
  serve(connection: Duplex): void {
    this.#server.emit("connection", connection);
  }

  /** Cuts off every call. */
  shutdown(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: RawHeaders | undefined): void {
    const call = new ServerCall(stream, raw ?? pairs(headers), this.#messageLimit);
    const path = headers[":path"] ?? "";
    void this.#handle(path, call).then(
      () => call.end({ code: status.OK, details: "" }),
      (error: unknown) => call.end(statusOf(error)),
    );
  }

  async #handle(path: string, call: ServerCall): Promise<void> {
    const method = this.#methods.get(path);
    if (method === undefined) {
      throw new ServiceRefusal(status.UNIMPLEMENTED, `this session does not serve ${path}`);
    }
    await method.handle(call);
  }
}

/** For a Node that hands out no raw headers: what it joined stays joined. */
function pairs(headers: IncomingHttpHeaders): RawHeaders {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value ?? ""]).flatMap((one) => [name, one]),
  );
}
