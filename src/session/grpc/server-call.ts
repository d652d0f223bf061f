import type { ServerHttp2Stream } from "node:http2";
import { status } from "@grpc/grpc-js";
import { createDeferred, type Deferred } from "../../internal/deferred.js";
import { MessageJoiner } from "./message-joiner.js";
import { MessageSplitter } from "./message-splitter.js";
import { type CallStatus, ServiceRefusal } from "./status.js";

/** Bytes that may be on their way out before a handler is asked to wait. */
const outgoingBytes = 1024 * 1024;
/** Bytes written together at least, unless the event loop turns first. */
const flushBytes = 64 * 1024;
/** Bytes of messages nobody has read yet, above which the daemon is made to wait. */
const incomingBytes = 4 * 1024 * 1024;

/** Raw header names and values, in turn, as Node hands them out. */
export type RawHeaders = readonly string[];

/** A call that the daemon broke off before it was answered, or whose session ended. */
export class BrokenOffError extends Error {}

/**
 * One call of the daemon's on a session, in raw messages.
 *
 * Read `messages`, write answers; the server ends the call when its handler has.
 */
export class ServerCall {
  /** Aborted when the daemon breaks the call off or the session ends, before it was answered. */
  readonly signal: AbortSignal;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: RawHeaders;
  readonly #splitter: MessageSplitter;
  readonly #joiner = new MessageJoiner();
  readonly #gone = new AbortController();
  /** Messages that nobody has read; those before `#nextInQueue` are gone, so that they are not held. */
  readonly #queue: (Buffer | undefined)[] = [];
  #nextInQueue = 0;
  #queued = 0;
  /** What ended the incoming messages: `"end"` in order, or why they broke off. */
  #over: "end" | Error | undefined;
  #wakeReader: (() => void) | undefined;
  #flushing: NodeJS.Immediate | undefined;
  #outgoing = 0;
  #writable: Deferred<void> | undefined;
  #empty: Deferred<void> | undefined;
  #ended = false;

  constructor(stream: ServerHttp2Stream, headers: RawHeaders, messageLimit: number) {
    this.#stream = stream;
    this.#headers = headers;
    this.#splitter = new MessageSplitter(messageLimit);
    this.signal = this.#gone.signal;
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    stream.on("end", () => this.#finish(stream.rstCode === 0 && !stream.aborted));
    // What was wrong shows in `close`.
    stream.on("error", () => {});
    stream.on("aborted", () => this.#finish(false));
    stream.on("close", () => this.#finish(false));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  }

  /** Whether the daemon has broken the call off. */
  get cancelled(): boolean {
    return this.#gone.signal.aborted;
  }

  /** All values of a metadata key, in order. */
  headers(name: string): readonly string[] {
    return this.#headers.filter((_value, index) => index % 2 === 1 && this.#headers[index - 1] === name);
  }

  /** The first value of a metadata key. */
  header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  /** The metadata keys that were sent. */
  headerNames(): readonly string[] {
    return this.#headers.filter((_value, index) => index % 2 === 0);
  }

  /**
   * The incoming messages, ending when the daemon has sent its last. Rejects with {@link BrokenOffError} when it breaks
   * the call off, and with {@link ServiceRefusal} for bytes that are no messages. Leaving early does not end the call.
   */
  messages(): AsyncIterableIterator<Buffer> {
    const iterator: AsyncIterableIterator<Buffer> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        for (;;) {
          const message = this.#dequeue();
          if (message !== undefined) return { done: false, value: message };
          if (this.#over === "end") return { done: true, value: undefined };
          if (this.#over !== undefined) throw this.#over;
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
    return iterator;
  }

  /** The one message of a unary call. Rejects as {@link ServerCall.messages} does, or if there is none. */
  async message(): Promise<Buffer> {
    const { done, value } = await this.messages().next();
    if (done === true) throw new ServiceRefusal(status.INTERNAL, "the call has no message");
    return value;
  }

  /**
   * Sends a message, which may be given in parts; they must not be changed before {@link ServerCall.sent}. A promise when
   * more should wait until the transport has caught up. What is written after the daemon broke off is dropped.
   */
  write(...parts: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#ended || this.cancelled) return undefined;
    this.#joiner.add(parts);
    if (this.#joiner.bytes >= flushBytes) this.#flush();
    else this.#flushing ??= setImmediate(() => this.#flush());
    if (this.#outgoing <= outgoingBytes) return undefined;
    this.#writable ??= createDeferred<void>();
    return this.#writable.promise;
  }

  /**
   * Resolves when all that was written has left, so that its memory may be used again; of a call that was broken off, at
   * once: then it may not.
   */
  sent(): Promise<void> | undefined {
    this.#flush();
    if (this.#ended || this.cancelled || this.#outgoing === 0) return undefined;
    this.#empty ??= createDeferred<void>();
    return this.#empty.promise;
  }

  /** For the server: ends the call with a status. */
  end({ code, details }: CallStatus): void {
    if (this.#ended) return;
    this.#flush();
    this.#ended = true;
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    stream.once("wantTrailers", () => {
      const text = details === "" ? {} : { "grpc-message": percentEncoded(details) };
      stream.sendTrailers({ "grpc-status": String(code), ...text });
    });
    stream.end();
    // What still comes is of no interest, and holds the stream open.
    this.#queue.length = 0;
    stream.resume();
  }

  #take(chunk: Buffer): void {
    if (this.#over !== undefined || this.#ended) return;
    try {
      for (const message of this.#splitter.push(chunk)) {
        this.#queue.push(message);
        this.#queued += message.length;
      }
    } catch (error) {
      this.#over = error as Error;
    }
    if (this.#queued > incomingBytes) this.#stream.pause();
    this.#wake();
  }

  #dequeue(): Buffer | undefined {
    const message = this.#queue[this.#nextInQueue];
    if (message === undefined) {
      this.#queue.length = 0;
      this.#nextInQueue = 0;
      return undefined;
    }
    this.#queue[this.#nextInQueue] = undefined;
    this.#nextInQueue += 1;
    this.#queued -= message.length;
    if (this.#queued <= incomingBytes && this.#stream.isPaused()) this.#stream.resume();
    return message;
  }

  #finish(inOrder: boolean): void {
    if (inOrder && this.#splitter.inMessage) {
      this.#over ??= new ServiceRefusal(status.INTERNAL, "the call ends in the middle of a message");
    }
    this.#over ??= inOrder ? "end" : new BrokenOffError("the daemon broke off the call");
    if (!inOrder) {
      if (!this.#ended) this.#gone.abort(new BrokenOffError("the daemon broke off the call"));
      this.#release();
    }
    this.#wake();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
  }

  #flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    this.#flushing = undefined;
    if (this.#stream.destroyed || this.#stream.closed) return;
    for (const piece of this.#joiner.take()) {
      this.#outgoing += piece.length;
      this.#stream.write(piece, () => {
        this.#outgoing -= piece.length;
        if (this.#outgoing <= outgoingBytes / 2) this.#release();
      });
    }
  }

  /** Lets those go on who wait for the transport, as far as it has caught up. */
  #release(): void {
    this.#writable?.resolve();
    this.#writable = undefined;
    if (this.#outgoing > 0 && !this.cancelled && !this.#ended) return;
    this.#empty?.resolve();
    this.#empty = undefined;
  }
}

/** As gRPC has status texts in headers: UTF-8, with `%XX` for all but printable ASCII. */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
