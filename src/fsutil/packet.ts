import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { KilnError } from "../errors.js";
import {
  Packet_PacketType,
  type Packet as PacketMessage,
  PacketSchema,
} from "../gen/fsutil/types/wire_pb.js";
import { FileMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";

/** A packet as it is worked with. */
export type Packet =
  | { readonly kind: "stat"; readonly stat: FileStat }
  /** The end of the listing: a STAT packet without a stat. */
  | { readonly kind: "end" }
  | { readonly kind: "request"; readonly id: number }
  /** A piece of a file; an empty one ends it. */
  | { readonly kind: "data"; readonly id: number; readonly data: Uint8Array }
  | { readonly kind: "finish" }
  | { readonly kind: "error"; readonly message: string };

const MAX_ERROR_TEXT = 4096;
const KNOWN_MODE_BITS = FileMode.TYPE | FileMode.SETUID | FileMode.SETGID | FileMode.STICKY | 0o777;

/**
 * Decodes one packet. Throws `ERR_KILN_PROTOCOL` for bytes that are no packet, for a type that this protocol
 * does not have, for a name that is not UTF-8 and for numbers that no file has.
 */
export function decodePacket(bytes: Uint8Array): Packet {
  let message: PacketMessage;
  try {
    message = fromBinary(PacketSchema, bytes);
  } catch (error) {
    throw new KilnError("ERR_KILN_PROTOCOL", "received a packet that cannot be decoded", { cause: error });
  }
  switch (message.type) {
    case Packet_PacketType.PACKET_STAT:
      return message.stat === undefined ? { kind: "end" } : { kind: "stat", stat: toFileStat(message.stat) };
    case Packet_PacketType.PACKET_REQ:
      return { kind: "request", id: message.ID };
    case Packet_PacketType.PACKET_DATA:
      return { kind: "data", id: message.ID, data: message.data };
    case Packet_PacketType.PACKET_FIN:
      return { kind: "finish" };
    case Packet_PacketType.PACKET_ERR:
      return { kind: "error", message: printable(message.data) };
    default:
      throw new KilnError("ERR_KILN_PROTOCOL", `received a packet of unknown type ${message.type}`);
  }
}

function toFileStat(stat: NonNullable<PacketMessage["stat"]>): FileStat {
  const size = Number(stat.size);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new KilnError("ERR_KILN_PROTOCOL", `received a size of ${stat.size} bytes for a file`);
  }
  if ((stat.mode & ~KNOWN_MODE_BITS) !== 0) {
    throw new KilnError(
      "ERR_KILN_PROTOCOL",
      `received a file mode with unknown bits: ${stat.mode.toString(16)}`,
    );
  }
  const xattrs = Object.entries(stat.xattrs);
  return {
    path: stat.path,
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    size,
    modTime: stat.modTime,
    linkname: stat.linkname,
    devmajor: Number(stat.devmajor),
    devminor: Number(stat.devminor),
    xattrs: xattrs.length > 0 ? new Map(xattrs) : undefined,
  };
}

/** Text from the other side, cut to a few lines and without what would steer a terminal. */
function printable(data: Uint8Array): string {
  const text = new TextDecoder().decode(data.subarray(0, MAX_ERROR_TEXT));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}

/** The end of the listing. */
export function encodeEnd(): Uint8Array {
  return toBinary(PacketSchema, create(PacketSchema, {}));
}

/** Asks for a file's content. */
export function encodeRequest(id: number): Uint8Array {
  return toBinary(PacketSchema, create(PacketSchema, { type: Packet_PacketType.PACKET_REQ, ID: id }));
}

/** This side is done. */
export function encodeFinish(): Uint8Array {
  return toBinary(PacketSchema, create(PacketSchema, { type: Packet_PacketType.PACKET_FIN }));
}

/** This side gives up, and why. */
export function encodeError(message: string): Uint8Array {
  const data = new TextEncoder().encode(message.slice(0, MAX_ERROR_TEXT));
  return toBinary(PacketSchema, create(PacketSchema, { type: Packet_PacketType.PACKET_ERR, data }));
}
