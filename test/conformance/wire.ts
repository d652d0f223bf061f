/** Bytes of protobuf messages written out by hand, field by field: nothing of the encoders under test is in them. */

/** A varint. Negative numbers take ten bytes, as int64 and int32 do. */
function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field with a number, a flag or an enumeration's value. */
export function int(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** A field with a text. */
export function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

/** A field with a message of these fields, or with bytes. */
export function message(field: number, ...fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
}

/** The entries of a map of texts, in the order of their keys. */
export function textMap(field: number, entries: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(entries)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => message(field, text(1, key), text(2, value))),
  );
}
