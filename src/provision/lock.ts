import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** How {@link withLock} waits. */
export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when somebody else holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

const RETRY_MS = 100;

/**
 * Runs `task` while no other caller on this machine, in this process or another, holds the lock `name`.
 *
 * The lock is a name in Linux's abstract socket space: the kernel gives it back when its holder dies, however
 * it dies, so there are no stale locks. Two network namespaces do not see each other's. Rejects with
 * `signal`'s reason when that aborts the waiting.
 */
export async function withLock<T>(
  name: string,
  task: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const path = `\0kiln-${createHash("sha256").update(name).digest("hex")}`;
  let server = await tryListen(path);
  if (server === undefined) options.onWait?.();
  while (server === undefined) {
    await delay(RETRY_MS, undefined, { signal: options.signal }).catch((error: unknown) => {
      options.signal?.throwIfAborted();
      throw error;
    });
    server = await tryListen(path);
  }
  const held = server;
  try {
    return await task();
  } finally {
    await new Promise<void>((resolve) => held.close(() => resolve()));
  }
}

function tryListen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    // The holder's own work decides how long its process lives, not the lock.
    server.unref();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ path }, () => resolve(server));
  });
}
