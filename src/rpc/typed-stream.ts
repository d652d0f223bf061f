import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import type { Connection } from "./connection.js";
import type { CallOptions } from "./typed-client.js";

/** A stream of typed messages both ways. */
export interface TypedStream<I extends DescMessage, O extends DescMessage>
  extends AsyncIterable<MessageShape<O>> {
  /** Sends a message; the promise settles once more may be sent. Rejects if the stream has failed. */
  readonly send: (message: MessageInitShape<I>) => Promise<void>;
  /** Says that nothing more will be sent. */
  readonly end: () => void;
  /** Ends the call on both sides at once. */
  readonly cancel: () => void;
}

/**
 * Opens a method with streams both ways.
 *
 * Iterating it rejects with `RpcError`, or with the signal's reason when aborted. Messages that nobody iterates are
 * held back: the other side stops sending when the window is full.
 */
export function openStream<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: DescMethod & { readonly input: I; readonly output: O },
  options: CallOptions = {},
): TypedStream<I, O> {
  const { signal } = options;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    for (const one of typeof value === "string" ? [value] : value) metadata.add(key, one);
  }
  const call: ClientDuplexStream<MessageShape<I>, MessageShape<O>> = connection.client.makeBidiStreamRequest<
    MessageShape<I>,
    MessageShape<O>
  >(
    `/${method.parent.typeName}/${method.name}`,
    (message) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
    metadata,
  );
  let failure: { readonly error: unknown } | undefined;
  const waiting = new Set<(reason: unknown) => void>();
  call.on("error", (error) => {
    failure = { error: signal?.aborted === true ? signal.reason : connection.translate(error) };
    for (const reject of waiting) reject(failure.error);
    waiting.clear();
  });
  const onAbort = (): void => call.cancel();
  if (signal?.aborted === true) call.cancel();
  else signal?.addEventListener("abort", onAbort, { once: true });
  return {
    async send(message) {
      if (failure !== undefined) throw failure.error;
      if (call.write(create(method.input, message))) return;
      await new Promise<void>((resolve, reject) => {
        waiting.add(reject);
        call.once("drain", () => {
          waiting.delete(reject);
          resolve();
        });
      });
    },
    end: () => call.end(),
    cancel: () => call.cancel(),
    async *[Symbol.asyncIterator]() {
      try {
        for await (const message of call) {
          connection.markReady();
          yield message as MessageShape<O>;
        }
      } catch (error) {
        throw signal?.aborted === true ? signal.reason : connection.translate(error);
      } finally {
        signal?.removeEventListener("abort", onAbort);
        call.cancel();
      }
    },
  };
}
