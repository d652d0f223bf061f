import { invalidDefinition } from "./invalid-definition.js";

/** One field of an encoded message. */
export interface WireField {
  readonly number: number;
  /** 0 = varint, 1 = 64 bits, 2 = bytes, 5 = 32 bits. */
  readonly type: number;
  /** Where the field's tag begins, from the start of the message. */
  readonly offset: number;
  /** Content of a field of type 2; a view, not a copy. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * The fields of a message in their order. `where` names the message, for errors; `start` is its own offset.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` at the first byte that is no protobuf.
 */
export function readFields(message: Uint8Array, where: string, start = 0): readonly WireField[] {
  const fields: WireField[] = [];
  let position = 0;
  const fail = (problem: string, at: number): Error =>
    invalidDefinition(`${where}: ${problem} at byte ${start + at}`);
  const varint = (what: string): number => {
    const begin = position;
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[position];
      if (byte === undefined) throw fail(`${what} is cut off`, begin);
      position += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw fail(`${what} is longer than ten bytes`, begin);
  };
  while (position < message.length) {
    const offset = position;
    const tag = varint("a tag");
    const number = Math.floor(tag / 8);
    const type = tag % 8;
    if (number < 1 || number > 0x1fffffff) throw fail(`field number ${number} does not exist`, offset);
    let bytes: Uint8Array | undefined;
    if (type === 0) varint(`field ${number}`);
    else if (type === 1 || type === 5) position += type === 1 ? 8 : 4;
    else if (type === 2) {
      const length = varint(`the length of field ${number}`);
      bytes = message.subarray(position, position + length);
      position += length;
    } else throw fail(`field ${number} has wire type ${type}`, offset);
    if (position > message.length) throw fail(`field ${number} is cut off`, offset);
    fields.push({ number, type, offset, bytes });
  }
  return fields;
}

/** The content of a field that must be bytes. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function bytesOf(field: WireField, where: string, start = 0): Uint8Array {
  if (field.bytes !== undefined) return field.bytes;
  throw invalidDefinition(
    `${where}: field ${field.number} has wire type ${field.type} at byte ${start + field.offset}`,
  );
}
