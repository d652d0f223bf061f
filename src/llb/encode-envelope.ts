import { sortedKeys } from "./byte-order.js";
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
  const digests = sortedKeys(metadata);
  const values = entryValues(digests, metadata);
  const rest = source === undefined ? new Uint8Array() : sourceField(source);
  const keyLengths = digests.map((digest) => Buffer.byteLength(digest));
  const entryLength = (index: number): number =>
    fieldLength(keyLengths[index] ?? 0) + (values[index] ?? noValue).length;
  let size = rest.length;
  for (const { bytes } of ops) size += fieldLength(bytes.length);
  for (let index = 0; index < digests.length; index += 1) {
    size += fieldLength(entryLength(index));
  }

  const target = Buffer.allocUnsafe(size);
  let position = 0;
  for (const { bytes } of ops) {
    position = writeHead(target, position, 10, bytes.length);
    target.set(bytes, position);
    position += bytes.length;
  }
  for (let index = 0; index < digests.length; index += 1) {
    const digest = digests[index] ?? "";
    const value = values[index] ?? noValue;
    position = writeHead(target, position, 18, entryLength(index));
    position = writeHead(target, position, 10, keyLengths[index] ?? 0);
    position += target.write(digest, position);
    target.set(value, position);
    position += value.length;
  }
  target.set(rest, position);
  return target;
}

const noValue: Uint8Array = new Uint8Array();

/** The value fields of metadata entries. Many ops share one metadata object, which is encoded once. */
function entryValues(
  digests: readonly string[],
  metadata: ReadonlyMap<string, OpMetadataFields>,
): readonly Uint8Array[] {
  const encoded = new Map<OpMetadataFields | undefined, Uint8Array>();
  return digests.map((digest) => {
    const entry = metadata.get(digest);
    let value = encoded.get(entry);
    if (value === undefined) {
      value = createWriter()
        .uint32(18)
        .bytes(encodeMetadata(entry ?? {}, sortedKeys))
        .finish();
      encoded.set(entry, value);
    }
    return value;
  });
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
