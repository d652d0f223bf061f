import { connect, createServer, type Socket } from "node:net";

/** A way to a daemon's socket that counts what takes it. */
export interface CountingProxy extends AsyncDisposable {
  /** For `Engine.connect`. */
  readonly address: string;
  /**
   * Connections and requests of HTTP/1.1 so far: gRPC's calls are within a request of their own for each engine, and
   * other requests may come over a connection that was kept.
   */
  readonly asked: () => number;
  /** Bytes that came from the daemon so far. */
  readonly received: () => number;
}

/** Listens on the unix socket `path` and passes everything on to the daemon at a socket's address, and back. */
export async function countingProxy(path: string, address: string): Promise<CountingProxy> {
  const { protocol, pathname: target } = new URL(address);
  const open = new Set<Socket>();
  let [asked, received] = [0, 0];
  const server = createServer({ allowHalfOpen: true }, (near) => {
    asked += 1;
    near.on("data", (chunk: Buffer) => {
      if (/^(GET|HEAD|POST|PUT|DELETE) \//.test(chunk.toString("latin1", 0, 8))) asked += 1;
    });
    const far = connect({ path: target, allowHalfOpen: true });
    far.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    address: `${protocol}//${path}`,
    asked: () => asked,
    received: () => received,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
