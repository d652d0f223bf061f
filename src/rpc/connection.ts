import type { Socket } from "node:net";
import { ChannelCredentials, type ChannelOptions, Client, credentials } from "@grpc/grpc-js";
import { type Address, formatAddress, isCommandAddress } from "./address.js";
import { type CommandRelay, openCommandRelay } from "./command-relay.js";
import { dialCommand } from "./dial-command.js";
import { translateCallError } from "./node-error.js";
import { loadTls, type TlsMaterial, type TlsOptions } from "./tls-options.js";
import { UpgradeCredentials } from "./upgrade-credentials.js";

/** containerd's, BuildKit's and Docker's message limit. */
export const messageLimit: number = 16 * 1024 * 1024;

/** buildkitd answers pings more often than every five minutes with GOAWAY `too_many_pings`. */
const keepaliveMs = 5 * 60 * 1000;

/** The client's receive window, for large downloads over connections with some latency. */
const receiveWindow = 8 * 1024 * 1024;

/** Options of {@link openConnection}. */
export interface ConnectionOptions {
  /** Certificates for `tcp://` and `docker://host:port`; without them those are plain. */
  readonly tls?: TlsOptions | undefined;
}

/**
 * One gRPC channel to a daemon.
 *
 * Connects on the first call and reconnects by itself. Calls are made through `createClient` and
 * `openTunnel`. `close` ends every call on it.
 */
export class Connection implements AsyncDisposable {
  readonly address: Address;
  /** Certificates as loaded; `undefined` = none were given. */
  readonly tls: TlsMaterial | undefined;
  readonly #makeClient: () => Client;
  #client: Client;
  #wasReady = false;
  #closed = false;

  readonly #relay: CommandRelay | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(address: Address, tls: TlsMaterial | undefined, relay?: CommandRelay) {
    this.address = address;
    this.tls = tls;
    this.#relay = relay;
    const target = relay === undefined ? targetOf(address) : `unix://${relay.path}`;
    this.#makeClient = () => new Client(target, channelCredentials(address, tls), channelOptions(tls));
    this.#client = this.#makeClient();
  }

  /** The unix socket that is connected to, if it is one: the daemon's, or that of a program that connects. */
  get socketPath(): string | undefined {
    return this.#relay?.path ?? ("path" in this.address ? this.address.path : undefined);
  }

  /** The grpc-js client behind it, for the files of this room; elsewhere only what {@link Connection.abandon} takes. */
  get client(): Client {
    return this.#client;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Notes that the daemon has answered: from now on a transport failure means that it was lost. */
  markReady(): void {
    this.#wasReady = true;
  }

  /**
   * Gives up a channel that is known to be dead although nothing closed it: later calls are made on a new one, those
   * under way on the old one are left to end. Does nothing when `dead` has been given up already.
   */
  abandon(dead: Client): void {
    if (dead !== this.#client || this.#closed) return;
    this.#client = this.#makeClient();
    dead.close();
  }

  /** Translates what a call on this connection failed with into Kiln's errors. */
  translate(error: unknown): unknown {
    return translateCallError(error, {
      address: formatAddress(this.address),
      wasReady: this.#wasReady,
      dialProblem: this.#relay?.problem(),
    });
  }

  /** Takes charge of a further socket to the daemon: it is destroyed when this connection closes. */
  hold(socket: Socket): void {
    if (this.#closed) socket.destroy();
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /** Ends the channel and every call on it, and the sockets it holds. Idempotent. */
  close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#client.close();
    return this.#relay?.close() ?? Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Prepares a connection to a daemon; nothing is sent before the first call.
 *
 * Rejects with `ERR_KILN_TLS` when a certificate file cannot be read.
 */
export async function openConnection(address: Address, options: ConnectionOptions = {}): Promise<Connection> {
  const tls = options.tls === undefined ? undefined : await loadTls(options.tls);
  if (isCommandAddress(address)) {
    return new Connection(address, tls, await openCommandRelay(dialCommand(address)));
  }
  return new Connection(address, tls);
}

function targetOf(address: Address): string {
  if ("path" in address) return `unix://${address.path}`;
  if (isCommandAddress(address)) throw new TypeError("an address of another program has no socket");
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `dns:${host}:${address.port}`;
}

function channelCredentials(address: Address, tls: TlsMaterial | undefined): ChannelCredentials {
  if (address.scheme === "docker+ssh") return new UpgradeCredentials("docker", undefined);
  if (address.scheme === "docker") {
    return new UpgradeCredentials("host" in address ? address.host : "docker", tls);
  }
  if (tls === undefined) return credentials.createInsecure();
  return ChannelCredentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.cert), {
    rejectUnauthorized: !tls.skipVerify,
  });
}

function channelOptions(tls: TlsMaterial | undefined): ChannelOptions {
  return {
    "grpc.max_receive_message_length": messageLimit,
    "grpc.max_send_message_length": messageLimit,
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc-node.flow_control_window": receiveWindow,
    // A daemon's socket is never behind an HTTP proxy that the environment names for the web.
    "grpc.enable_http_proxy": 0,
    // Each engine has a channel of its own: its socket then closes when it closes.
    "grpc.use_local_subchannel_pool": 1,
    ...(tls?.serverName === undefined
      ? {}
      : { "grpc.ssl_target_name_override": tls.serverName, "grpc.default_authority": tls.serverName }),
  };
}

function bytes(pem: string | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}
