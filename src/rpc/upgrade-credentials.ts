import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import { secureSocket, upgradeSocket } from "./http-upgrade.js";
import type { TlsMaterial } from "./tls-options.js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

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
        const secured = this.#tls === undefined ? socket : await secureSocket(socket, this.#host, this.#tls);
        await upgradeSocket(secured, { path: "/grpc", what: "gRPC", host: this.#host });
        return { socket: secured, secure: this.#tls !== undefined };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}
