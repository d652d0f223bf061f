import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { status } from "@grpc/grpc-js";
import type { Connection } from "./connection.js";
import { secureSocket, UpgradeRefusedError, upgradeSocket } from "./http-upgrade.js";
import { openTunnel, type TunnelOptions } from "./tunnel.js";

const sessionMethod = "/moby.buildkit.v1.Control/Session";

/**
 * Opens the byte pipe of a session: on a Docker a connection of its own (`POST /session`, as Docker's own client does),
 * else, and on a Docker that does not know that, a call of `Control.Session`.
 *
 * A connection of its own saves carrying HTTP/2 within HTTP/2: every byte once instead of twice through gRPC. Rejects
 * with the connection's translated error, also when `signal` gives up before the pipe is there; what fails later
 * destroys the pipe.
 */
export async function openSessionPipe(
  connection: Connection,
  metadata: NonNullable<TunnelOptions["metadata"]>,
  signal: AbortSignal,
): Promise<Duplex> {
  const { scheme } = connection.address;
  if (scheme !== "docker" && scheme !== "docker+ssh")
    return openTunnel(connection, sessionMethod, { metadata });
  try {
    return await dockerSession(connection, metadata, signal);
  } catch (error) {
    if (error instanceof UpgradeRefusedError) return openTunnel(connection, sessionMethod, { metadata });
    throw connection.translate(unavailable(error as Error));
  }
}

async function dockerSession(
  connection: Connection,
  metadata: NonNullable<TunnelOptions["metadata"]>,
  signal: AbortSignal,
): Promise<Duplex> {
  const { address, socketPath, tls } = connection;
  const host = "host" in address ? address.host : "docker";
  const plain =
    "host" in address && socketPath === undefined
      ? connect({ host: address.host, port: address.port ?? 0, noDelay: true })
      : connect({ path: socketPath ?? "" });
  // Held so that closing the connection ends what is still being set up, too.
  connection.hold(plain);
  const giveUp = (): void => {
    plain.destroy();
  };
  signal.addEventListener("abort", giveUp, { once: true });
  await opened(plain);
  const socket = tls === undefined || socketPath !== undefined ? plain : await secureSocket(plain, host, tls);
  await upgradeSocket(socket, {
    ...{ path: "/session", what: "a session", host },
    headers: Object.entries(metadata).flatMap(([name, value]) =>
      (typeof value === "string" ? [value] : value).map((one) => [name, one] as const),
    ),
  });
  signal.removeEventListener("abort", giveUp);
  connection.markReady();
  return socket;
}

/** As gRPC reports a transport that failed, so that it is translated alike. */
function unavailable(error: Error): Error {
  return Object.assign(new Error(error.message, { cause: error }), {
    code: status.UNAVAILABLE,
    details: error.message,
  });
}

function opened(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    const closed = (): void => reject(new Error("the connection was closed before it was there"));
    socket.once("error", fail);
    socket.once("close", closed);
    socket.once("connect", () => {
      socket.off("error", fail);
      socket.off("close", closed);
      resolve();
    });
  });
}
