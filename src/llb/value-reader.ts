/** Reads the values of a protobuf message one after another. Throws a `RangeError` for what is no message. */
export class ValueReader {
  /** Where the next value begins. */
  position = 0;
  readonly #bytes: Uint8Array;
  // The same memory.
  readonly #texts: Buffer;
  #end: number;
  // Halves of the number read last.
  #low = 0;
  #high = 0;

  /** Reads from the start of `bytes`, which are not copied. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#texts = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.byteLength;
  }

  /** Whether anything is left of the message that is read. */
  get hasMore(): boolean {
    return this.position < this.#end;
  }

  /** Field number times eight plus wire type: 0 = varint, 1 = 64 bits, 2 = bytes, 3 and 4 = a group, 5 = 32 bits. */
  tag(): number {
    this.#varint();
    const tag = this.#low >>> 0;
    if (this.#high !== 0 || tag < 8 || (tag & 7) > 5)
      throw new RangeError(`there is no field with tag ${tag}`);
    return tag;
  }

  /** A number that is read modulo 2^32. */
  uint32(): number {
    this.#varint();
    return this.#low >>> 0;
  }

  /** A number that is read modulo 2^64. */
  uint64(): bigint {
    this.#varint();
    const low = BigInt(this.#low >>> 0);
    return this.#high === 0 ? low : (BigInt(this.#high >>> 0) << 32n) | low;
  }

  /** Whether a number is another than 0. */
  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Bytes with their length before them; a view, not a copy. */
  bytes(): Uint8Array {
    const end = this.#endOfBytes();
    const found = this.#bytes.subarray(this.position, end);
    this.position = end;
    return found;
  }

  /** A text with its length before it. */
  string(): string {
    const end = this.#endOfBytes();
    const text = this.#texts.toString("utf8", this.position, end);
    // What is no UTF-8 was replaced by that character.
    if (text.includes("\ufffd")) strictUtf8.decode(this.#bytes.subarray(this.position, end));
    this.position = end;
    return text;
  }

  /** Reads bytes with their length before them as a message, by `read`. */
  within(read: () => void): void {
    const end = this.#endOfBytes();
    const outer = this.#end;
    this.#end = end;
    read();
    this.#end = outer;
  }

  /** Skips a value of a wire type, and returns its bytes. `depth` bounds groups within groups. */
  skip(tag: number, depth: number): Uint8Array {
    const start = this.position;
    this.#skip(tag, depth);
    if (this.position > this.#end) throw cutOff();
    return this.#bytes.subarray(start, this.position);
  }

  #skip(tag: number, depth: number): void {
    switch (tag & 7) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.position += 8;
        return;
      case 2:
        this.position = this.#endOfBytes();
        return;
      case 5:
        this.position += 4;
        return;
      case 3: {
        if (depth <= 0) throw tooDeep();
        for (;;) {
          const inner = this.tag();
          if ((inner & 7) !== 4) this.#skip(inner, depth - 1);
          else if (inner >>> 3 === tag >>> 3) return;
          else throw new RangeError("a group ends that did not begin");
        }
      }
      default:
        throw new RangeError("a group ends that did not begin");
    }
  }

  #endOfBytes(): number {
    this.#varint();
    const length = this.#high * 2 ** 32 + (this.#low >>> 0);
    const end = this.position + length;
    if (length < 0 || end > this.#end) throw cutOff();
    return end;
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.#end) throw cutOff();
      const byte = this.#bytes[this.position++] ?? 0;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x7f) << 28;
        high = (byte & 0x7f) >> 4;
      } else if (shift < 63) high |= (byte & 0x7f) << (shift - 32);
      else high |= (byte & 1) << 31;
      if (byte < 0x80) {
        this.#low = low;
        this.#high = high;
        return;
      }
    }
    throw new RangeError("a number is longer than ten bytes");
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The error for messages or groups that lie in one another without end. */
export function tooDeep(): RangeError {
  return new RangeError("it is beyond the greatest recursion depth");
}

function cutOff(): RangeError {
  return new RangeError("it is cut off");
}
