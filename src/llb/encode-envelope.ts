import { sortedKeys } from "./byte-order.js";
import { digestOrder } from "./digest-order.js";
import { encodeMetadata, encodeSourceMaps } from "./encode-definition.js";
import type { EncodedOp } from "./encoded-op.js";
import type { OpMetadataFields, SourceMapFields } from "./op-fields.js";
import { createWriter } from "./wire-writer.js";

/**
 * The bytes of a `pb.Definition` from its encoded ops, all maps sorted.
 *
 * Nearly all of a definition is bytes that are there already, so it is measured first and then copied into one piece:
 * through a message writer, long graphs would cost three times as much, mostly in garbage collection.
 */
export function encodeEnvelope(
  ops: readonly EncodedOp[],
  metadata: ReadonlyMap<string, OpMetadataFields>,
  source: SourceMapFields | undefined,
): Uint8Array {
  const digests = [...metadata.keys()];
  const values = entryValues(metadata);
  const order = digestOrder(digests);
  const rest = source === undefined ? noBytes : sourceField(source);
  let size = rest.length;
  for (const { bytes } of ops) size += fieldLength(bytes.length);
  for (let index = 0; index < digests.length; index += 1) {
    size += fieldLength(
      fieldLength(Buffer.byteLength(digests[index] as string)) + (values[index] as Uint8Array).length,
    );
  }

  const target = Buffer.allocUnsafe(size);
  let position = 0;
  for (const { bytes } of ops) {
    position = writeHead(target, position, 10, bytes.length);
    target.set(bytes, position);
    position += bytes.length;
  }
  for (const index of order) {
    const digest = digests[index] as string;
    const value = values[index] as Uint8Array;
    const keyLength = Buffer.byteLength(digest);
    position = writeHead(target, position, 18, fieldLength(keyLength) + value.length);
    position = writeHead(target, position, 10, keyLength);
    position += target.write(digest, position);
    target.set(value, position);
    position += value.length;
  }
  target.set(rest, position);
  return target;
}

const noBytes: Uint8Array = new Uint8Array();

/** The value fields of metadata entries. Many ops share one metadata object, which is encoded once. */
function entryValues(metadata: ReadonlyMap<string, OpMetadataFields>): readonly Uint8Array[] {
  const encoded = new Map<OpMetadataFields, Uint8Array>();
  let last: OpMetadataFields | undefined;
  let value = noBytes;
  const values: Uint8Array[] = [];
  for (const entry of metadata.values()) {
    if (entry !== last) {
      value = encoded.get(entry) ?? entryValue(entry);
      encoded.set(entry, value);
      last = entry;
    }
    values.push(value);
  }
  return values;
}

function entryValue(entry: OpMetadataFields): Uint8Array {
  return createWriter().uint32(18).bytes(encodeMetadata(entry, sortedKeys)).finish();
}

function sourceField(source: SourceMapFields): Uint8Array {
  return createWriter().uint32(26).bytes(encodeSourceMaps(source, sortedKeys)).finish();
}

/** Length of a field of bytes: tag, length, content. */
function fieldLength(content: number): number {
  let length = content + 2;
  for (let rest = content; rest > 127; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

function writeHead(target: Buffer, start: number, tag: number, length: number): number {
  let position = start;
  target[position++] = tag;
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) target[position++] = (rest % 128) | 128;
  target[position++] = rest;
  return position;
}
