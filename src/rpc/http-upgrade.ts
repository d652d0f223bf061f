import type { Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import type { TlsMaterial } from "./tls-options.js";

/** Longest answer to the upgrade request that is read before giving up, in bytes. */
const headerLimit = 64 * 1024;

/** A request of Docker's API that is answered with a change of protocol. */
export interface UpgradeRequest {
  /** E.g. `/grpc`. */
  readonly path: string;
  /** What is upgraded to, for messages. */
  readonly what: string;
  readonly host: string;
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
}

/** A Docker that answered the request for an upgrade with something else than 101. */
export class UpgradeRefusedError extends Error {}

/** Wraps a fresh socket in TLS for Docker's API. Rejects with Node's error. */
export function secureSocket(socket: Socket, host: string, tls: TlsMaterial): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secured = tlsConnect(
      {
        socket,
        servername: tls.serverName ?? host,
        ALPNProtocols: ["http/1.1"],
        rejectUnauthorized: !tls.skipVerify,
        ...(tls.ca === undefined ? {} : { ca: tls.ca }),
        ...(tls.cert === undefined ? {} : { cert: tls.cert }),
        ...(tls.key === undefined ? {} : { key: tls.key }),
      },
      () => {
        secured.off("error", reject);
        secured.off("close", closed);
        resolve(secured);
      },
    );
    const closed = (): void => reject(new Error("the connection was closed before TLS was set up"));
    secured.once("error", reject);
    secured.once("close", closed);
  });
}

/**
 * Turns a fresh connection to Docker's API into one of HTTP/2 (`Upgrade: h2c`).
 *
 * Bytes that came with the answer are put back. Rejects with {@link UpgradeRefusedError} or the socket's error, and
 * then has destroyed the socket.
 */
export function upgradeSocket(socket: Socket, request: UpgradeRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const finish = (error?: Error): void => {
      socket.off("data", onData);
      socket.off("error", finish);
      socket.off("close", onClose);
      if (error === undefined) resolve();
      else {
        socket.destroy();
        reject(error);
      }
    };
    const onClose = (): void =>
      finish(new Error(`the Docker socket closed during the upgrade to ${request.what}`));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) {
        if (received.length > headerLimit)
          finish(new Error(`endless answer to the upgrade to ${request.what}`));
        return;
      }
      const statusLine = received.toString("latin1", 0, received.indexOf("\r\n"));
      if (!/^HTTP\/1\.[01] 101\b/.test(statusLine)) {
        finish(
          new UpgradeRefusedError(
            `no Docker with BuildKit there: it answered "${statusLine}" to the upgrade to ${request.what}`,
          ),
        );
        return;
      }
      socket.pause();
      const rest = received.subarray(end + 4);
      // The daemon's first HTTP/2 frames may arrive with the 101; Node feeds what is unshifted to its session.
      if (rest.length > 0) socket.unshift(rest);
      finish();
    };
    socket.on("data", onData);
    socket.once("error", finish);
    socket.once("close", onClose);
    const headers = [
      ["Host", request.host],
      ["Connection", "Upgrade"],
      ["Upgrade", "h2c"],
      ...(request.headers ?? []),
    ];
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`POST ${request.path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  });
}
