import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import { receiveTree } from "../fsutil/receive.js";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import { FileSend, FileSync } from "../gen/moby/filesync/v1/filesync_pb.js";
import { encodeBytesMessage } from "../rpc/bytes-message.js";
import { Connection } from "../rpc/connection.js";
import { createClient, type TypedClient } from "../rpc/typed-client.js";

/** How a client announced its session. */
export interface SessionAnnouncement {
  readonly id: string;
  readonly sharedKey: string;
  /** Full names of the methods that it serves, e.g. `/moby.buildkit.secrets.v1.Secrets/GetSecret`. */
  readonly methods: readonly string[];
  /** All metadata of the call, by key. */
  readonly metadata: Readonly<Record<string, readonly string[]>>;
}

/** A client's session as a daemon has it: HTTP/2 with the roles reversed, on which the client is called. */
export class FakeSession implements AsyncDisposable {
  readonly announcement: SessionAnnouncement;
  readonly #connection: Connection;
  readonly #dir: string;
  readonly #checks: NodeJS.Timeout;

  private constructor(
    announcement: SessionAnnouncement,
    connection: Connection,
    dir: string,
    checkMs: number,
  ) {
    this.announcement = announcement;
    this.#connection = connection;
    this.#dir = dir;
    const check = (): void => {
      this.client(Health)
        .check({})
        .catch(() => {});
    };
    this.#checks = setInterval(check, checkMs);
    this.#checks.unref();
  }

  /** For `FakeBuildKit`: takes over the pipe of a Session call. `checkMs` = time between health checks. */
  static async over(pipe: Duplex, announcement: SessionAnnouncement, checkMs: number): Promise<FakeSession> {
    const dir = await mkdtemp(join(tmpdir(), "kiln-fake-session-"));
    const path = join(dir, "s");
    // gRPC connects to sockets, not to pipes; the first connection is the session.
    const server = createServer((socket) => {
      server.close();
      socket.on("error", () => pipe.destroy());
      pipe.on("error", () => socket.destroy());
      socket.pipe(pipe).pipe(socket);
    });
    server.unref();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connection = new Connection({ scheme: "unix", path }, undefined);
    const session = new FakeSession(announcement, connection, dir, checkMs);
    // A daemon connects at once, whether it has something to ask or not.
    connection.client.getChannel().getConnectivityState(true);
    // A client that closes its session ends its side first and waits for the daemon's.
    pipe.once("end", () => {
      void session.close();
      pipe.end();
    });
    return session;
  }

  /** Calls a service of the client, e.g. `session.client(Secrets).getSecret({ ID: "token" })`. */
  client<S extends DescService>(service: S): TypedClient<S> {
    return createClient(service, this.#connection);
  }

  /** Fetches a local tree into a directory, as a `local://` source does. Rejects with `RpcError`. */
  async pullTree(
    name: string,
    dir: string,
    options: {
      readonly includePatterns?: readonly string[] | undefined;
      readonly excludePatterns?: readonly string[] | undefined;
      readonly followPaths?: readonly string[] | undefined;
    } = {},
  ): Promise<void> {
    const metadata = new Metadata();
    metadata.set("dir-name", name);
    for (const [key, values] of [
      ["include-patterns", options.includePatterns],
      ["exclude-patterns", options.excludePatterns],
      ["followpaths", options.followPaths],
    ] as const) {
      for (const value of values ?? []) metadata.add(key, value);
    }
    const call = this.#connection.client.makeBidiStreamRequest<Buffer, Buffer>(
      `/${FileSync.typeName}/${FileSync.method.diffCopy.name}`,
      (bytes) => bytes,
      (bytes) => bytes,
      metadata,
    );
    let failure: unknown;
    call.on("error", (error) => {
      failure = this.#connection.translate(error);
    });
    try {
      await receiveTree(
        {
          incoming: call,
          write: (packet) => {
            call.write(Buffer.from(packet));
          },
        },
        dir,
      );
    } catch (error) {
      throw failure ?? error;
    } finally {
      call.end();
    }
  }

  /**
   * Sends a tar to the client, as the exporters `oci`, `docker` and `tar` do: `metadata` becomes its `exporter-md-…`
   * headers. Resolves when the client has taken it all.
   */
  async sendTar(
    exporterId: number,
    bytes: Uint8Array,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const headers = new Metadata();
    headers.set("buildkit-attachable-exporter-id", String(exporterId));
    for (const [key, value] of Object.entries(metadata)) headers.set(`exporter-md-${key}`, value);
    const call = this.#connection.client.makeBidiStreamRequest<Buffer, Buffer>(
      `/${FileSend.typeName}/${FileSend.method.diffCopy.name}`,
      (message) => message,
      (message) => message,
      headers,
    );
    const ended = new Promise<void>((resolve, reject) => {
      call.on("error", (error) => reject(this.#connection.translate(error)));
      call.on("end", resolve);
    });
    call.resume();
    const pieceBytes = 1024 * 1024;
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      call.write(encodeBytesMessage([bytes.subarray(start, start + pieceBytes)]));
    }
    call.end();
    await ended;
  }

  /** Ends the session from the daemon's side. */
  async close(): Promise<void> {
    clearInterval(this.#checks);
    await this.#connection.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
