import protobuf from "protobufjs/minimal.js";
import type { Int64 } from "./op-fields.js";

/** What the encoders write to. */
export type WireWriter = protobuf.Writer;

/** An empty writer. */
export function createWriter(): WireWriter {
  return protobuf.Writer.create();
}

// A tag is the field's number times eight plus its wire type: 0 = number, 2 = length and bytes.

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
  putInt64(writer.uint32(field * 8), value);
}

/** Writes the bare value of an `int64` or `uint64`, without a tag. */
export function putInt64(writer: WireWriter, value: Int64): void {
  if (typeof value === "number") {
    writer.int64(value);
    return;
  }
  const small = Number(value);
  if (Number.isSafeInteger(small)) writer.int64(small);
  else writer.int64(longOf(value));
}

function longOf(value: bigint): ReturnType<protobuf.util.LongBits["toLong"]> {
  const low = Number(BigInt.asUintN(32, value));
  const high = Number(BigInt.asUintN(32, value >> 32n));
  return new protobuf.util.LongBits(low, high).toLong(false);
}
