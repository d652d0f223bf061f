import { KilnError } from "../errors.js";
import { compareNames } from "../fsutil/byte-order.js";
import type { LayerSink } from "./layer-sink.js";

/** Types of members, as a header's type flag. */
export const TarType = {
  FILE: 0x30,
  HARD_LINK: 0x31,
  SYMLINK: 0x32,
  CHARACTER_DEVICE: 0x33,
  BLOCK_DEVICE: 0x34,
  DIRECTORY: 0x35,
  FIFO: 0x36,
} as const;

/** A member of a tar, without its content. Owner and group are 0 and have no names. */
export interface TarMember {
  /** One of {@link TarType}. */
  readonly type: number;
  /** UTF-8, relative, without a slash at its end. */
  readonly name: Uint8Array;
  /** Target of a link, UTF-8; else empty. */
  readonly linkname: Uint8Array;
  /** Permissions, setuid, setgid and sticky: twelve bits. */
  readonly mode: number;
  /** Bytes of content; 0 for all but files. */
  readonly size: number;
  /** Seconds since 1970, whole, and what is beyond them in nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly devmajor: number;
  readonly devminor: number;
  /** By full name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array> | undefined;
}

/** Tars are made of blocks of so many bytes. */
export const tarBlock = 512;

const nameBytes = 100;
const prefixBytes = 155;
const mostOctal = 0o77777777777;
/** Go's reader, and so every daemon, refuses larger extended headers. */
const extendedLimit = 1024 * 1024;
const slash = 0x2f;
const noBytes: Uint8Array = new Uint8Array(0);

/**
 * Writes members as ustar (POSIX.1-1988), with a pax header (POSIX.1-2001) before those that it cannot hold:
 * names that are long or not ASCII, sizes of 8 GiB and more, times that are no whole seconds between 1970 and
 * 2242, extended attributes (`SCHILY.xattr.NAME`, as Go and star write them).
 *
 * Nothing comes from the machine: the same members give the same bytes everywhere. The caller writes the
 * content after each header, then {@link pad}.
 */
export class TarWriter {
  readonly #sink: LayerSink;

  constructor(sink: LayerSink) {
    this.#sink = sink;
  }

  /**
   * Writes a member's header. Throws `ERR_KILN_UNSUPPORTED` for an attribute whose name has a `=`, and
   * `ERR_KILN_LIMIT_EXCEEDED` for attributes of more than 1 MiB in all.
   */
  header(member: TarMember): void {
    const name = member.type === TarType.DIRECTORY ? withSlash(member.name) : member.name;
    const split = splitName(name);
    const records = extendedRecords(member, name, split);
    if (records !== undefined) this.#extended(records);
    const sink = this.#sink;
    sink.room(tarBlock);
    const fits = member.size <= mostOctal;
    writeHeader(sink.buffer, sink.at, {
      name: split < 0 ? name.subarray(0, nameBytes) : name.subarray(split === 0 ? 0 : split + 1),
      prefix: split > 0 ? name.subarray(0, split) : noBytes,
      linkname: member.linkname.subarray(0, nameBytes),
      type: member.type,
      mode: member.mode,
      size: fits ? member.size : 0,
      seconds: isOctalTime(member) ? member.seconds : 0,
      devmajor: member.devmajor,
      devminor: member.devminor,
    });
    sink.at += tarBlock;
  }

  /** Fills the last block of a content of so many bytes. */
  pad(size: number): void {
    const rest = size % tarBlock;
    if (rest === 0) return;
    const sink = this.#sink;
    sink.room(tarBlock);
    sink.buffer.fill(0, sink.at, sink.at + tarBlock - rest);
    sink.at += tarBlock - rest;
  }

  /** Ends the tar: two blocks of zeros. */
  end(): void {
    this.#sink.write(Buffer.alloc(2 * tarBlock));
  }

  #extended(records: Buffer): void {
    const sink = this.#sink;
    sink.room(tarBlock);
    writeHeader(sink.buffer, sink.at, {
      name: Buffer.from("PaxHeader"),
      prefix: noBytes,
      linkname: noBytes,
      type: 0x78,
      mode: 0o644,
      size: records.length,
      seconds: 0,
      devmajor: 0,
      devminor: 0,
    });
    sink.at += tarBlock;
    sink.write(records);
    this.pad(records.length);
  }
}

interface Header {
  readonly name: Uint8Array;
  readonly prefix: Uint8Array;
  readonly linkname: Uint8Array;
  readonly type: number;
  readonly mode: number;
  readonly size: number;
  readonly seconds: number;
  readonly devmajor: number;
  readonly devminor: number;
}

/**
 * Writes one block, and sums its bytes on the way: a second look at all 512 would take longer than all else.
 */
function writeHeader(out: Buffer, at: number, header: Header): void {
  out.fill(0, at, at + tarBlock);
  let sum = writeText(out, at, header.name);
  sum += writeOctal(out, at + 100, header.mode, 7);
  sum += writeOctal(out, at + 108, 0, 7);
  sum += writeOctal(out, at + 116, 0, 7);
  sum += writeOctal(out, at + 124, header.size, 11);
  sum += writeOctal(out, at + 136, header.seconds, 11);
  // The checksum's own field counts as eight spaces.
  sum += 8 * 0x20;
  out[at + 156] = header.type;
  sum += header.type;
  if (header.linkname.length > 0) sum += writeText(out, at + 157, header.linkname);
  sum += writeText(out, at + 257, ustar);
  sum += writeOctal(out, at + 329, header.devmajor, 7);
  sum += writeOctal(out, at + 337, header.devminor, 7);
  if (header.prefix.length > 0) sum += writeText(out, at + 345, header.prefix);
  writeOctal(out, at + 148, sum, 6);
  out[at + 155] = 0x20;
}

const ustar = Buffer.from("ustar\x0000");

/** Bytes that are not ASCII become `?`: a pax header has the real ones. */
function writeText(out: Buffer, at: number, text: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < text.length; index += 1) {
    const own = text[index] ?? 0;
    const byte = own < 0x80 ? own : 0x3f;
    out[at + index] = byte;
    sum += byte;
  }
  return sum;
}

function writeOctal(out: Buffer, at: number, value: number, digits: number): number {
  let sum = digits * 0x30;
  let rest = value;
  for (let index = digits - 1; index >= 0; index -= 1) {
    const higher = Math.floor(rest / 8);
    const digit = rest - higher * 8;
    out[at + index] = 0x30 + digit;
    sum += digit;
    rest = higher;
  }
  return sum;
}

/**
 * Where a name is parted into prefix and name: the index of that slash, 0 if it need not be, -1 if it cannot
 * be, or is not ASCII.
 */
function splitName(name: Uint8Array): number {
  if (!isAscii(name)) return -1;
  if (name.length <= nameBytes) return 0;
  for (let at = Math.min(prefixBytes, name.length - 2); at > 0; at -= 1) {
    if (name[at] === slash) return name.length - at - 1 <= nameBytes ? at : -1;
  }
  return -1;
}

function extendedRecords(member: TarMember, name: Uint8Array, split: number): Buffer | undefined {
  const { linkname, size, xattrs } = member;
  const longLink = linkname.length > nameBytes || !isAscii(linkname);
  const asIs = split >= 0 && !longLink && size <= mostOctal && isOctalTime(member);
  if (asIs && (xattrs === undefined || xattrs.size === 0)) return undefined;
  const records: Buffer[] = [];
  if (split < 0) records.push(record("path", name));
  if (longLink) records.push(record("linkpath", linkname));
  if (size > mostOctal) records.push(record("size", Buffer.from(String(size))));
  if (!isOctalTime(member)) records.push(record("mtime", Buffer.from(timeText(member))));
  for (const [key, value] of [...(xattrs ?? [])].sort(([a], [b]) => compareNames(a, b))) {
    if (key.includes("=")) {
      throw new KilnError("ERR_KILN_UNSUPPORTED", `${textOf(name)} has an attribute ${JSON.stringify(key)}`, {
        hint: "No layer can hold attributes whose names have an equals sign: remove it.",
      });
    }
    records.push(record(`SCHILY.xattr.${key}`, value));
  }
  const all = Buffer.concat(records);
  if (all.length > extendedLimit) {
    throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `the attributes of ${textOf(name)} have more than 1 MiB`, {
      hint: "Leave the file out with an ignore pattern, or remove its extended attributes.",
    });
  }
  return all;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function record(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function isOctalTime({ seconds, nanoseconds }: TarMember): boolean {
  return nanoseconds === 0 && seconds >= 0 && seconds <= mostOctal;
}

/** Seconds with up to nine decimals, as Go writes them. */
function timeText({ seconds, nanoseconds }: TarMember): string {
  if (nanoseconds === 0) return String(seconds);
  const before1970 = seconds < 0;
  const whole = before1970 ? -(seconds + 1) : seconds;
  const fraction = before1970 ? 1_000_000_000 - nanoseconds : nanoseconds;
  const decimals = String(fraction).padStart(9, "0").replace(/0+$/, "");
  return `${before1970 ? "-" : ""}${whole}.${decimals}`;
}

function isAscii(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if ((bytes[at] ?? 0) >= 0x80) return false;
  return true;
}

function withSlash(name: Uint8Array): Uint8Array {
  const longer = new Uint8Array(name.length + 1);
  longer.set(name);
  longer[name.length] = slash;
  return longer;
}

function textOf(name: Uint8Array): string {
  return JSON.stringify(Buffer.from(name).toString("utf8"));
}
