import { Duplex } from "node:stream";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { decodeBytesMessage, encodeBytesMessage } from "./bytes-message.js";
import type { Connection } from "./connection.js";

/** Most bytes put into one message; well under the 16 MiB limit. */
const messageBytes = 1024 * 1024;

/** Options of {@link openTunnel}. */
export interface TunnelOptions {
  /** Request metadata; keys in lower case, repeated for several values. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

/**
 * Opens a stream of `BytesMessage` both ways as one byte pipe.
 *
 * Message boundaries carry no meaning: small writes are joined, large ones split. Ending the writable side
 * half-closes the call; destroying the pipe cancels it. Fails with the connection's translated error.
 */
export function openTunnel(connection: Connection, path: string, options: TunnelOptions = {}): Duplex {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    for (const one of typeof value === "string" ? [value] : value) metadata.add(key, one);
  }
  const call = connection.client.makeBidiStreamRequest<Buffer, Buffer>(
    path,
    (message) => message,
    (message) => message,
    metadata,
  );
  return new Tunnel(connection, call);
}

class Tunnel extends Duplex {
  readonly #call: ClientDuplexStream<Buffer, Buffer>;

  constructor(connection: Connection, call: ClientDuplexStream<Buffer, Buffer>) {
    super({ readableHighWaterMark: messageBytes, writableHighWaterMark: messageBytes });
    this.#call = call;
    call.on("data", (message: Buffer) => {
      connection.markReady();
      try {
        const data = decodeBytesMessage(message);
        if (data.length > 0 && !this.push(data)) call.pause();
      } catch (error) {
        this.destroy(error as Error);
      }
    });
    call.on("end", () => this.push(null));
    call.on("error", (error) => this.destroy(connection.translate(error) as Error));
  }

  override _read(): void {
    this.#call.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#send([chunk], callback);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  override _final(callback: () => void): void {
    this.#call.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#call.cancel();
    callback(error);
  }

  #send(chunks: readonly Buffer[], callback: () => void): void {
    let batch: Buffer[] = [];
    let size = 0;
    let flowing = true;
    const flush = (): void => {
      if (size === 0) return;
      flowing = this.#call.write(encodeBytesMessage(batch));
      batch = [];
      size = 0;
    };
    for (const chunk of chunks) {
      for (let offset = 0; offset < chunk.length; ) {
        const part = chunk.subarray(offset, offset + messageBytes - size);
        batch.push(part);
        size += part.length;
        offset += part.length;
        if (size >= messageBytes) flush();
      }
    }
    flush();
    if (flowing) callback();
    else this.#call.once("drain", callback);
  }
}
