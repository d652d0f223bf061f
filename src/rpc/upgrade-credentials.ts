import type { Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import type { TlsMaterial } from "./tls-options.js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** Longest answer to the upgrade request that is read before giving up, in bytes. */
const headerLimit = 64 * 1024;

/**
 * Channel credentials that turn a freshly dialled Docker API socket into an HTTP/2 connection of its BuildKit.
 *
 * Docker serves BuildKit's gRPC behind `POST /grpc` with `Upgrade: h2c` (moby `daemon/server/router/grpc`).
 * gRPC hands every new socket to its credentials before it speaks HTTP/2, on reconnects too: the one place
 * where the upgrade fits. With `tls`, the socket is wrapped in TLS first.
 */
export class UpgradeCredentials extends ChannelCredentials {
  readonly #host: string;
  readonly #tls: TlsMaterial | undefined;

  constructor(host: string, tls: TlsMaterial | undefined) {
    super();
    this.#host = host;
    this.#tls = tls;
  }

  override _isSecure(): boolean {
    return this.#tls !== undefined;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): SecureConnector {
    return {
      connect: async (socket) => {
        const secured = this.#tls === undefined ? socket : await secure(socket, this.#host, this.#tls);
        await upgrade(secured, this.#host);
        return { socket: secured, secure: this.#tls !== undefined };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

function secure(socket: Socket, host: string, tls: TlsMaterial): Promise<Socket> {
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
        resolve(secured);
      },
    );
    secured.once("error", reject);
  });
}

function upgrade(socket: Socket, host: string): Promise<void> {
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
    const onClose = (): void => finish(new Error("the Docker socket closed during the upgrade to gRPC"));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) {
        if (received.length > headerLimit) finish(new Error("endless answer to the upgrade to gRPC"));
        return;
      }
      const statusLine = received.toString("latin1", 0, received.indexOf("\r\n"));
      if (!/^HTTP\/1\.[01] 101\b/.test(statusLine)) {
        finish(
          new Error(`no Docker with BuildKit there: it answered "${statusLine}" to the upgrade to gRPC`),
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
    socket.write(`POST /grpc HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
  });
}
