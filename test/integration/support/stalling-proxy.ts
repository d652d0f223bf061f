import { connect, createServer, type Socket } from "node:net";

/** A proxy in front of a daemon's socket that can fall silent without closing anything. */
export interface StallingProxy extends AsyncDisposable {
  /** Where clients connect, for `docker://`. */
  readonly host: string;
  /** Passes nothing on any more, in one direction or in both. */
  readonly stall: (direction: "to the daemon" | "both ways") => void;
}

/** Starts one in front of a Unix socket. */
export async function stallingProxy(socketPath: string): Promise<StallingProxy> {
  const pairs = new Set<readonly [near: Socket, far: Socket]>();
  const server = createServer((near) => {
    const far = connect(socketPath);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        pairs.delete(pair);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    host: `127.0.0.1:${port}`,
    stall(direction) {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        near.pause();
        if (direction === "to the daemon") continue;
        far.unpipe(near);
        far.pause();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const [near, far] of pairs) {
        near.destroy();
        far.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
