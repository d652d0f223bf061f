import { prefixBytes } from "./message-splitter.js";

/** Small messages are copied together up to this many bytes. */
const joinedBytes = 64 * 1024;
/** A message above this is not copied: it goes out as it is, behind its prefix. */
const copiedBytes = 8 * 1024;

/**
 * Puts gRPC's length prefix before messages and joins small ones.
 *
 * A transport is asked to write once for hundreds of small messages, as each such call costs more than the bytes.
 */
export class MessageJoiner {
  #ready: Buffer[] = [];
  #buffer = Buffer.allocUnsafe(joinedBytes);
  #start = 0;
  #end = 0;
  #bytes = 0;

  /** Bytes that wait to be taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds one message, given in parts. Parts of large messages must not be changed until they are written. */
  add(parts: readonly Uint8Array[]): void {
    let length = 0;
    for (const part of parts) length += part.length;
    this.#bytes += prefixBytes + length;
    this.#reserve(prefixBytes + Math.min(length, copiedBytes));
    this.#buffer[this.#end] = 0;
    this.#buffer.writeUInt32BE(length, this.#end + 1);
    this.#end += prefixBytes;
    for (const part of parts) {
      if (length <= copiedBytes || part.length <= copiedBytes / parts.length) {
        this.#buffer.set(part, this.#end);
        this.#end += part.length;
      } else {
        this.#seal();
        this.#ready.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
      }
    }
  }

  /** Takes what is there. */
  take(): readonly Buffer[] {
    this.#seal();
    const taken = this.#ready;
    this.#ready = [];
    this.#bytes = 0;
    return taken;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    this.#seal();
    this.#buffer = Buffer.allocUnsafe(joinedBytes);
    this.#start = 0;
    this.#end = 0;
  }

  #seal(): void {
    if (this.#end === this.#start) return;
    this.#ready.push(this.#buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
