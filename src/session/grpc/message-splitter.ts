import { status } from "@grpc/grpc-js";
import { ServiceRefusal } from "./status.js";

/** A flag byte and four bytes of length before each message. */
export const prefixBytes = 5;

/**
 * Cuts a byte stream into gRPC's length-prefixed messages.
 *
 * A message that arrives in one piece is a view into that piece; only one that is spread over several is copied.
 */
export class MessageSplitter {
  readonly #limit: number;
  #pieces: Buffer[] = [];
  #held = 0;
  /** Bytes of the message under way, its prefix included; `undefined` = its prefix is not whole yet. */
  #wanted: number | undefined;

  /** @param limit - The most bytes one message may have. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a message has begun and is not whole. */
  get inMessage(): boolean {
    return this.#held > 0;
  }

  /** Takes the next bytes and returns the messages that they complete. Throws {@link ServiceRefusal}. */
  push(chunk: Buffer): readonly Buffer[] {
    const messages: Buffer[] = [];
    let rest = this.#withHeldPrefix(chunk);
    while (rest.length > 0) {
      this.#wanted ??= this.#readPrefix(rest);
      if (this.#wanted === undefined || this.#held + rest.length < this.#wanted) {
        this.#pieces.push(rest);
        this.#held += rest.length;
        break;
      }
      const needed = this.#wanted - this.#held;
      messages.push(this.#complete(rest.subarray(0, needed)));
      rest = rest.subarray(needed);
    }
    return messages;
  }

  /** Joins a prefix that came in pieces with what follows it. */
  #withHeldPrefix(chunk: Buffer): Buffer {
    if (this.#wanted !== undefined || this.#held === 0) return chunk;
    const joined = Buffer.concat([...this.#pieces, chunk]);
    this.#pieces = [];
    this.#held = 0;
    return joined;
  }

  #readPrefix(bytes: Buffer): number | undefined {
    if (bytes.length < prefixBytes) return undefined;
    if (bytes[0] !== 0) {
      throw new ServiceRefusal(status.UNIMPLEMENTED, "compressed messages are not supported");
    }
    const length = bytes.readUInt32BE(1);
    if (length > this.#limit) {
      throw new ServiceRefusal(
        status.RESOURCE_EXHAUSTED,
        `a message of ${length} bytes, which is more than ${this.#limit}`,
      );
    }
    return prefixBytes + length;
  }

  #complete(last: Buffer): Buffer {
    this.#wanted = undefined;
    if (this.#held === 0) return last.subarray(prefixBytes);
    const message = Buffer.concat([...this.#pieces, last]).subarray(prefixBytes);
    this.#pieces = [];
    this.#held = 0;
    return message;
  }
}
