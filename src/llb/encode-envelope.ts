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
  const values = new EntryValues(metadata);
  const rest = source === undefined ? new Uint8Array() : sourceField(source);
  let size = rest.length;
  for (const { bytes } of ops) size += fieldLength(bytes.length);
  for (const digest of digests) size += fieldLength(entryLength(digest, values.of(digest)));

  const target = Buffer.allocUnsafe(size);
  let position = 0;
  for (const { bytes } of ops) {
    position = writeHead(target, position, 10, bytes.length);
    target.set(bytes, position);
    position += bytes.length;
  }
  for (const digest of digests) {
    const value = values.of(digest);
    position = writeHead(target, position, 18, entryLength(digest, value));
    position = writeHead(target, position, 10, Buffer.byteLength(digest));
    position += target.write(digest, position);
    target.set(value, position);
    position += value.length;
  }
  target.set(rest, position);
  return target;
}

/** The value field of metadata entries. Many ops share one metadata object, which is encoded once. */
class EntryValues {
  readonly #metadata: ReadonlyMap<string, OpMetadataFields>;
  readonly #encoded = new Map<OpMetadataFields | undefined, Uint8Array>();

  constructor(metadata: ReadonlyMap<string, OpMetadataFields>) {
    this.#metadata = metadata;
  }

  of(digest: string): Uint8Array {
    const metadata = this.#metadata.get(digest);
    let value = this.#encoded.get(metadata);
    if (value === undefined) {
      value = createWriter()
        .uint32(18)
        .bytes(encodeMetadata(metadata ?? {}, sortedKeys))
        .finish();
      this.#encoded.set(metadata, value);
    }
    return value;
  }
}

function sourceField(source: SourceMapFields): Uint8Array {
  return createWriter().uint32(26).bytes(encodeSourceMaps(source, sortedKeys)).finish();
}

/** Length of an entry: its key as a field, then its value as one. */
function entryLength(digest: string, value: Uint8Array): number {
  return fieldLength(Buffer.byteLength(digest)) + value.length;
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
