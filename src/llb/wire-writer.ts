import type { Int64 } from "./op-fields.js";

// Memory that finished writers leave to the next ones.
const unused: Buffer[] = [];
const firstSize = 1024;
const largestUnused = 64 * 1024;

/**
 * Writes the fields of a protobuf message one after another.
 *
 * A tag is the field's number times eight plus its wire type: 0 = number, 2 = length and bytes. What is given is copied
 * at once.
 */
export class WireWriter {
  #memory: Buffer;
  #position = 0;
  // Where the messages begin that are being written, one within the other.
  readonly #open: number[] = [];

  /** An empty writer. */
  constructor() {
    this.#memory = unused.pop() ?? Buffer.allocUnsafeSlow(firstSize);
  }

  /** A tag, a `uint32` or a length. */
  uint32(value: number): this {
    this.#reserve(5);
    this.#position = putVarint(this.#memory, this.#position, value);
    return this;
  }

  /** An `int32`; a negative one takes ten bytes. */
  int32(value: number): this {
    return value < 0 ? this.int64(value) : this.uint32(value);
  }

  /** An `int64` or `uint64`. */
  int64(value: Int64): this {
    if (typeof value === "bigint") {
      const low = Number(BigInt.asUintN(32, value));
      return this.#halves(low, Number(BigInt.asUintN(32, value >> 32n)));
    }
    if (value >= 0 && value < 2 ** 31) return this.uint32(value);
    return this.#halves(value >>> 0, Math.floor(value / 2 ** 32) >>> 0);
  }

  /** A flag. */
  bool(value: boolean): this {
    this.#reserve(1);
    this.#memory[this.#position++] = value ? 1 : 0;
    return this;
  }

  /** A text with its length before it. */
  string(value: string): this {
    const { length } = value;
    this.#reserve(length * 3 + 5);
    if (length < shortText && this.#ascii(value)) return this;
    this.#position = putVarint(this.#memory, this.#position, Buffer.byteLength(value));
    this.#position += this.#memory.write(value, this.#position);
    return this;
  }

  /** Bytes with their length before them. */
  bytes(value: Uint8Array): this {
    this.#reserve(value.length + 5);
    this.#position = putVarint(this.#memory, this.#position, value.length);
    this.#memory.set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  /** Begins a message within the message: what is written until {@link ldelim}, with its length before it. */
  fork(): this {
    this.#reserve(1);
    this.#open.push(this.#position);
    // Most lengths take one byte.
    this.#position += 1;
    return this;
  }

  /** Ends the message that {@link fork} began. */
  ldelim(): this {
    const start = this.#open.pop();
    if (start === undefined) throw new TypeError("no message was begun");
    const length = this.#position - start - 1;
    if (length > 127) {
      this.#reserve(4);
      const more = varintLength(length) - 1;
      this.#memory.copyWithin(start + 1 + more, start + 1, this.#position);
      this.#position += more;
    }
    putVarint(this.#memory, start, length);
    return this;
  }

  /** What was written, in memory of its own. Ends the writer. */
  finish(): Uint8Array {
    return this.finishInto((length) => Buffer.allocUnsafe(length));
  }

  /** Like {@link finish}, into memory that `alloc` gives for a number of bytes. */
  finishInto(alloc: (length: number) => Uint8Array): Uint8Array {
    const bytes = alloc(this.#position);
    bytes.set(this.#memory.subarray(0, this.#position));
    if (this.#memory.length <= largestUnused) unused.push(this.#memory);
    this.#memory = none;
    this.#position = 0;
    return bytes;
  }

  /** Writes a short text without a call into the runtime; `false` if it has other characters than ASCII. */
  #ascii(value: string): boolean {
    const memory = this.#memory;
    let position = this.#position;
    memory[position++] = value.length;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code > 127) return false;
      memory[position++] = code;
    }
    this.#position = position;
    return true;
  }

  #halves(low: number, high: number): this {
    this.#reserve(10);
    let position = this.#position;
    let [rest, above] = [low, high];
    while (above > 0) {
      this.#memory[position++] = (rest & 127) | 128;
      rest = ((rest >>> 7) | (above << 25)) >>> 0;
      above >>>= 7;
    }
    this.#position = putVarint(this.#memory, position, rest);
    return this;
  }

  #reserve(length: number): void {
    const needed = this.#position + length;
    if (needed <= this.#memory.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2));
    this.#memory.copy(larger, 0, 0, this.#position);
    this.#memory = larger;
  }
}

const none = Buffer.alloc(0);
// Below it the length takes one byte, and a loop is faster than a call.
const shortText = 64;

/** Writes a number of up to 32 bits; returns where it ends. */
function putVarint(target: Uint8Array, start: number, value: number): number {
  let position = start;
  let rest = value >>> 0;
  for (; rest > 127; rest >>>= 7) target[position++] = (rest & 127) | 128;
  target[position++] = rest;
  return position;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 127; rest >>>= 7) length += 1;
  return length;
}

/** An empty writer. */
export function createWriter(): WireWriter {
  return new WireWriter();
}

/** Writes a string field unless it is empty. */
export function writeText(writer: WireWriter, field: number, value: string | undefined): void {
  if (value !== undefined && value !== "") writer.uint32(field * 8 + 2).string(value);
}

/** Writes every string of a repeated field, empty ones too. */
export function writeTexts(writer: WireWriter, field: number, values: readonly string[] | undefined): void {
  if (values === undefined) return;
  const tag = field * 8 + 2;
  for (let index = 0; index < values.length; index += 1) writer.uint32(tag).string(values[index] ?? "");
}

/** Writes a bytes field unless it is empty. */
export function writeBytes(writer: WireWriter, field: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) writer.uint32(field * 8 + 2).bytes(value);
}

/** Writes a boolean field if it is true. */
export function writeFlag(writer: WireWriter, field: number, value: boolean | undefined): void {
  if (value === true) writer.uint32(field * 8).bool(true);
}

/** Writes an `int32` or enum field unless it is zero; a negative one takes ten bytes. */
export function writeInt32(writer: WireWriter, field: number, value: number | undefined): void {
  if (value !== undefined && value !== 0) writer.uint32(field * 8).int32(value);
}

/** Writes a `uint32` field unless it is zero. */
export function writeUint32(writer: WireWriter, field: number, value: number | undefined): void {
  if (value !== undefined && value !== 0) writer.uint32(field * 8).uint32(value);
}

/** Writes an `int64` or `uint64` field unless it is zero. */
export function writeInt64(writer: WireWriter, field: number, value: Int64 | undefined): void {
  // `==` on purpose: 0 and 0n alike.
  if (value === undefined || value === 0 || value === 0n) return;
  writer.uint32(field * 8).int64(value);
}
