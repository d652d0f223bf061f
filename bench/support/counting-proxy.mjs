// Stands between a tool and a daemon's socket and counts what passes.

import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";

/**
 * Listens on the unix socket `path` and passes everything on to the socket `target`, and back. `counted()` tells what has
 * passed since the proxy began: connections, bytes each way, and how often a `needle` was seen in what the daemon was
 * sent (those that lie across the border of two chunks are not found).
 */
export async function countingProxy(path, target, { needles = [] } = {}) {
  const counts = { connections: 0, sent: 0, received: 0, seen: 0 };
  const open = new Set();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    counts.connections += 1;
    const daemon = connect({ path: target, allowHalfOpen: true });
    client.on("data", (chunk) => {
      counts.sent += chunk.length;
      for (const needle of needles) if (chunk.includes(needle)) counts.seen += 1;
    });
    daemon.on("data", (chunk) => {
      counts.received += chunk.length;
    });
    client.pipe(daemon).pipe(client);
    for (const [socket, other] of [
      [client, daemon],
      [daemon, client],
    ]) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  rmSync(path, { force: true });
  await new Promise((resolve, reject) => server.once("error", reject).listen(path, resolve));
  return {
    address: `docker://${path}`,
    counted: () => ({ ...counts }),
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What was counted between two looks. */
export function difference(before, after) {
  return Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]]));
}
