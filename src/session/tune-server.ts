import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { type Server, ServerCredentials } from "@grpc/grpc-js";

/** Bytes the daemon may send before it must wait: 64 KiB is HTTP/2's own, far too little for exports. */
const windowBytes = 8 * 1024 * 1024;

/** Headers one request may have: each include pattern is one. Node's own limit is 128. */
const headerPairs = 65_536;

/** Metadata keys that BuildKit repeats, one value each. */
const listKeys: readonly string[] = ["include-patterns", "exclude-patterns", "followpaths"];

type Injector = ReturnType<Server["createConnectionInjector"]>;

/**
 * Makes the connection injector of a session's gRPC server, with what grpc-js has no option for on servers:
 * a wide receive window (grpc-node pull request 3058), many headers, and repeated headers kept apart (Node
 * joins them with commas, which patterns may hold).
 *
 * All of it goes through private fields of grpc-js. Where a version has none of that name, exports are slower
 * and a pattern with a comma in it is split; nothing else changes.
 */
export function createTunedInjector(server: Server): Injector {
  const options: unknown = Reflect.get(server, "commonServerOptions");
  if (typeof options === "object" && options !== null) {
    Reflect.set(options, "maxHeaderListPairs", headerPairs);
    const settings: unknown = Reflect.get(options, "settings");
    if (typeof settings === "object" && settings !== null)
      Reflect.set(settings, "initialWindowSize", windowBytes);
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const servers: unknown = Reflect.get(server, "http2Servers");
  if (!(servers instanceof Map)) return injector;
  for (const http2Server of servers.keys() as Iterable<Http2Server>) {
    http2Server.on("session", (session: ServerHttp2Session) => {
      session.settings({ initialWindowSize: windowBytes });
      session.setLocalWindowSize(windowBytes);
    });
    http2Server.prependListener("stream", keepRepeatedHeadersApart);
  }
  return injector;
}

// All listeners get the same headers object: what is put right here, grpc-js's own listener then sees.
function keepRepeatedHeadersApart(
  _stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  _flags: number,
  rawHeaders?: readonly string[],
): void {
  if (rawHeaders === undefined) return;
  for (const key of listKeys) {
    if (headers[key] === undefined) continue;
    headers[key] = rawHeaders.filter((_value, index) => index % 2 === 1 && rawHeaders[index - 1] === key);
  }
}
