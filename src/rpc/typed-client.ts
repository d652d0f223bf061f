import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type CallOptions as GrpcCallOptions, Metadata } from "@grpc/grpc-js";
import type { Connection } from "./connection.js";

/** Options of one call. */
export interface CallOptions {
  /** Aborting cancels the call on the daemon; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Request metadata; keys in lower case. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Milliseconds after which the call fails with `DEADLINE_EXCEEDED`; default none. */
  readonly deadlineMs?: number | undefined;
}

type Unary<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => Promise<MessageShape<O>>;

type ServerStream<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => AsyncIterable<MessageShape<O>>;

/**
 * The unary and server-streaming methods of a generated service as functions. Streams both ways have no
 * place here: they are tunnels (`openTunnel`).
 */
export type TypedClient<S extends DescService> = {
  readonly [K in keyof S["method"] as S["method"][K] extends { methodKind: "unary" | "server_streaming" }
    ? K
    : never]: S["method"][K] extends { methodKind: "unary"; input: infer I; output: infer O }
    ? I extends DescMessage
      ? O extends DescMessage
        ? Unary<I, O>
        : never
      : never
    : S["method"][K] extends { methodKind: "server_streaming"; input: infer I; output: infer O }
      ? I extends DescMessage
        ? O extends DescMessage
          ? ServerStream<I, O>
          : never
        : never
      : never;
};

/**
 * Makes a client of a generated service on a connection.
 *
 * Calls reject with `RpcError`, or with the signal's reason when aborted. Leaving a stream's loop early
 * cancels it on the daemon.
 */
export function createClient<S extends DescService>(service: S, connection: Connection): TypedClient<S> {
  const methods: Record<string, unknown> = {};
  for (const method of service.methods) {
    if (method.methodKind === "unary") methods[method.localName] = unary(connection, method);
    else if (method.methodKind === "server_streaming")
      methods[method.localName] = serverStream(connection, method);
  }
  return methods as TypedClient<S>;
}

function unary(connection: Connection, method: DescMethod) {
  const codec = methodCodec(method);
  return (request: MessageInitShape<DescMessage>, options: CallOptions = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => call.cancel();
      const call = connection.client.makeUnaryRequest(
        codec.path,
        codec.serialize,
        codec.deserialize,
        create(method.input, request),
        metadataOf(options),
        grpcOptions(options),
        (error, response) => {
          signal?.removeEventListener("abort", onAbort);
          if (error === null) {
            connection.markReady();
            resolve(response);
          } else reject(signal?.aborted === true ? signal.reason : connection.translate(error));
        },
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    });
}

function serverStream(connection: Connection, method: DescMethod) {
  const codec = methodCodec(method);
  return (request: MessageInitShape<DescMessage>, options: CallOptions = {}): AsyncIterable<unknown> => {
    const { signal } = options;
    const call = connection.client.makeServerStreamRequest(
      codec.path,
      codec.serialize,
      codec.deserialize,
      create(method.input, request),
      metadataOf(options),
      grpcOptions(options),
    );
    // Until somebody iterates, a failure has no listener; the iteration reports it.
    call.on("error", () => {});
    const onAbort = (): void => call.cancel();
    if (signal?.aborted === true) call.cancel();
    else signal?.addEventListener("abort", onAbort, { once: true });
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for await (const message of call) {
            connection.markReady();
            yield message;
          }
        } catch (error) {
          throw signal?.aborted === true ? signal.reason : connection.translate(error);
        } finally {
          signal?.removeEventListener("abort", onAbort);
          call.cancel();
        }
      },
    };
  };
}

function methodCodec(method: DescMethod) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message: MessageShape<DescMessage>): Buffer => {
      const bytes = toBinary(method.input, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes: Buffer): MessageShape<DescMessage> => fromBinary(method.output, bytes),
  };
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    for (const one of typeof value === "string" ? [value] : value) metadata.add(key, one);
  }
  return metadata;
}

function grpcOptions(options: CallOptions): GrpcCallOptions {
  return options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
}
