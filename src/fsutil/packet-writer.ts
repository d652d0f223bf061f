import type { FileStat } from "./file-stat.js";

/** Room before a stat for its packet's tag and length. */
const HEADROOM = 6;
/** Room for all of a stat that is of fixed size. */
const FIXED = 128;
const DATA_TYPE = 2;

/**
 * Writes the two kinds of packet that come in great numbers, several times faster than a general encoder;
 * the bytes are those that it would write. One writer serves one transfer: it keeps a buffer.
 */
export class PacketWriter {
  #buffer: Buffer = Buffer.allocUnsafe(4096);
  #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  #at = 0;

  /** A STAT packet. */
  stat(stat: FileStat): Uint8Array {
    this.#reserve(stat);
    this.#at = HEADROOM;
    this.#text(0x0a, stat.path);
    this.#number(0x10, stat.mode);
    this.#number(0x18, stat.uid);
    this.#number(0x20, stat.gid);
    this.#number(0x28, stat.size);
    this.#bigint(0x30, stat.modTime);
    this.#text(0x3a, stat.linkname);
    this.#number(0x40, stat.devmajor);
    this.#number(0x48, stat.devminor);
    for (const name of [...(stat.xattrs?.keys() ?? [])].sort()) this.#xattr(name, stat.xattrs?.get(name));
    const length = this.#at - HEADROOM;
    const start = HEADROOM - 1 - varintLength(length);
    this.#at = start;
    this.#byte(0x12);
    this.#varint(length);
    return Buffer.from(this.#buffer.subarray(start, HEADROOM + length));
  }

  /** What stands before `length` bytes of content in a DATA packet; with none it is the whole packet, a file's end. */
  dataHeader(id: number, length: number): Uint8Array {
    this.#at = 0;
    this.#number(0x08, DATA_TYPE);
    this.#number(0x18, id);
    if (length > 0) {
      this.#byte(0x22);
      this.#varint(length);
    }
    return Buffer.from(this.#buffer.subarray(0, this.#at));
  }

  #reserve(stat: FileStat): void {
    let needed = HEADROOM + FIXED + 3 * (stat.path.length + stat.linkname.length);
    for (const [name, value] of stat.xattrs ?? []) needed += 32 + 3 * name.length + value.length;
    if (needed <= this.#buffer.length) return;
    this.#buffer = Buffer.allocUnsafe(2 * needed);
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  }

  #byte(value: number): void {
    this.#buffer[this.#at] = value;
    this.#at += 1;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#byte((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#byte(rest);
  }

  #number(tag: number, value: number): void {
    if (value === 0) return;
    this.#byte(tag);
    this.#varint(value);
  }

  #bigint(tag: number, value: bigint): void {
    if (value === 0n) return;
    this.#byte(tag);
    // The value passes through the end of the buffer to become two halves, as bigint arithmetic is slow.
    const spare = this.#buffer.length - 8;
    this.#view.setBigInt64(spare, value);
    let high = this.#view.getUint32(spare);
    let low = this.#view.getUint32(spare + 4);
    while (high > 0 || low >= 0x80) {
      this.#byte((low & 0x7f) | 0x80);
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#byte(low);
  }

  #text(tag: number, text: string): void {
    if (text === "") return;
    this.#byte(tag);
    this.#varint(Buffer.byteLength(text));
    this.#at += this.#buffer.write(text, this.#at);
  }

  #xattr(name: string, value: Uint8Array = new Uint8Array()): void {
    const nameLength = Buffer.byteLength(name);
    this.#byte(0x52);
    const nameField = 1 + varintLength(nameLength) + nameLength;
    this.#varint(nameField + 1 + varintLength(value.length) + value.length);
    this.#text(0x0a, name);
    this.#byte(0x12);
    this.#varint(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1;
  return length;
}
