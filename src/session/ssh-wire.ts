/** Reads the values of an SSH message (RFC 4251, section 5) from bytes that may be anybody's: never beyond their end. */
export class SshReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** The next bytes, without a length of their own. Throws a `RangeError` if there are not as many. */
  take(length: number): Buffer {
    if (length > this.left) throw new RangeError("the data ends in the middle of a value");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** An unsigned number of 32 bits. Throws as {@link SshReader.take}. */
  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  /** Bytes with their length in front. Throws as {@link SshReader.take}. */
  string(): Buffer {
    return this.take(this.uint32());
  }

  /** A text with its length in front. Throws as {@link SshReader.take}. */
  text(): string {
    return this.string().toString("utf8");
  }

  /** A number above zero, as its bytes without zeros in front. Throws as {@link SshReader.take}, and for other numbers. */
  positive(): Buffer {
    const bytes = withoutZeros(this.string());
    if (bytes.length === 0) throw new RangeError("a number that must not be zero is");
    return bytes;
  }
}

/** A number of 32 bits. */
export function sshUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Bytes, or a text, with their length in front. */
export function sshString(value: Uint8Array | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([sshUint32(bytes.length), bytes]);
}

/** A number that is not negative, given as its bytes. */
export function sshNumber(bytes: Uint8Array): Buffer {
  const short = withoutZeros(Buffer.from(bytes));
  // The first bit is the sign.
  return sshString((short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), short]) : short);
}

function withoutZeros(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? Buffer.alloc(0) : bytes.subarray(first);
}
