/** Tag of the one field of every `BytesMessage`: number 1, length-delimited. */
const tag = 0x0a;

/**
 * Frames chunks as one `BytesMessage{bytes data = 1}`, the message in which BuildKit carries raw bytes.
 *
 * One copy of the data, into a buffer of exactly the message's size.
 */
export function encodeBytesMessage(chunks: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const header = bytesMessageHeader(length);
  const message = Buffer.allocUnsafe(header.length + length);
  message.set(header, 0);
  let offset = header.length;
  for (const chunk of chunks) {
    message.set(chunk, offset);
    offset += chunk.length;
  }
  return message;
}

/** What stands before `length` bytes of data in a `BytesMessage`: nothing for none. */
export function bytesMessageHeader(length: number): Buffer {
  return bytesFieldHeader(tag, length);
}

/** What stands before `length` bytes of a field of a message, whose tag is one byte: nothing for none. */
export function bytesFieldHeader(fieldTag: number, length: number): Buffer {
  if (length === 0) return Buffer.alloc(0);
  const header: number[] = [fieldTag];
  let rest = length;
  while (rest > 0x7f) {
    header.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  header.push(rest);
  return Buffer.from(header);
}

/**
 * The data of a `BytesMessage`: a view into `message`, no copy. Unknown fields are skipped; a repeated field
 * counts by its last value, as protobuf has it. Throws `RangeError` for bytes that are no such message.
 */
export function decodeBytesMessage(message: Buffer): Buffer {
  let data: Buffer = message.subarray(0, 0);
  let offset = 0;
  while (offset < message.length) {
    const [key, afterKey] = varint(message, offset);
    offset = afterKey;
    switch (key & 7) {
      case 0:
        [, offset] = varint(message, offset);
        break;
      case 1:
        offset += 8;
        break;
      case 2: {
        const [length, start] = varint(message, offset);
        offset = start + length;
        if (offset <= message.length && key === tag) data = message.subarray(start, offset);
        break;
      }
      case 5:
        offset += 4;
        break;
      default:
        throw new RangeError("not a BytesMessage: unknown wire type");
    }
    if (offset > message.length) throw new RangeError("not a BytesMessage: it ends in the middle of a field");
  }
  return data;
}

function varint(message: Buffer, start: number): readonly [value: number, next: number] {
  let value = 0;
  let factor = 1;
  for (let offset = start; offset < message.length && offset < start + 10; offset += 1) {
    const byte = message[offset] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, offset + 1];
    factor *= 128;
  }
  throw new RangeError("not a BytesMessage: a number does not end");
}
