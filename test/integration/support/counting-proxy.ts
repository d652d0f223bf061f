import { connect, createServer, type Socket } from "node:net";

/** A way to a daemon's socket that counts what takes it. */
export interface CountingProxy extends AsyncDisposable {
  /** For `Engine.connect`. */
  readonly address: string;
  /** Bytes that the daemon was sent so far. Connections are kept, so their number would say nothing of requests. */
  readonly sent: () => number;
}

/** Listens on the unix socket `path` and passes everything on to the daemon at a `docker:///socket` address, and back. */
export async function countingProxy(path: string, address: string): Promise<CountingProxy> {
  const target = address.replace("docker://", "");
  const open = new Set<Socket>();
  let sent = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    near.on("data", (chunk: Buffer) => {
      sent += chunk.length;
    });
    const far = connect({ path: target, allowHalfOpen: true });
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
    address: `docker://${path}`,
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
