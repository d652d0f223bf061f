import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** Bytes the daemon may send before it must wait: 64 KiB is HTTP/2's own, far too little for exports. */
const windowBytes = 8 * 1024 * 1024;

/**
 * Widens the receive window of a session's gRPC server.
 *
 * grpc-js has an option for this on clients only (grpc-node pull request 3058), so its HTTP/2 server is
 * reached through its private fields; where a version has none of that name, exports are merely slower.
 * Must be called after the server's connection injector was made.
 */
export function widenReceiveWindow(server: Server): void {
  const options: unknown = Reflect.get(server, "commonServerOptions");
  if (typeof options === "object" && options !== null) {
    const settings = Reflect.get(options, "settings");
    if (typeof settings === "object" && settings !== null)
      Reflect.set(settings, "initialWindowSize", windowBytes);
  }
  const servers: unknown = Reflect.get(server, "http2Servers");
  if (!(servers instanceof Map)) return;
  for (const http2Server of servers.keys() as Iterable<Http2Server>) {
    http2Server.on("session", (session: ServerHttp2Session) => {
      session.settings({ initialWindowSize: windowBytes });
      session.setLocalWindowSize(windowBytes);
    });
  }
}
