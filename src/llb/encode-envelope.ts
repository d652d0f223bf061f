import { sortedKeys } from "./byte-order.js";
import { digestOrder } from "./digest-order.js";
import { encodeMetadata, encodeSourceMaps } from "./encode-definition.js";
import type { EncodedOp } from "./encoded-op.js";
import type { OpMetadataFields, SourceMapFields } from "./op-fields.js";
import { headLength, StoredOp, writeHead } from "./op-store.js";
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
  const rest = source === undefined ? noBytes : sourceField(source);
  let opsEnd = 0;
  for (const op of ops) opsEnd += lengthOf(op);
  const lengths = new Uint32Array(digests.length);
  for (let index = 0; index < digests.length; index += 1) {
    lengths[index] = entryLength(digests[index] as string, values[index] as Uint8Array);
  }
  const places = new Float64Array(digests.length);
  let end = opsEnd;
  for (const index of digestOrder(digests)) {
    places[index] = end;
    end += fieldLength(lengths[index] as number);
  }

  const target = Buffer.allocUnsafe(end + rest.length);
  writeOps(ops, target);
  // In the order in which they lie in memory, each to its place: reading them in the order of the result would wait
  // for memory at every entry of a long graph.
  for (let index = 0; index < digests.length; index += 1) {
    const digest = digests[index] as string;
    const value = values[index] as Uint8Array;
    let place = writeHead(target, places[index] as number, 18, lengths[index] as number);
    place = writeHead(target, place, 10, Buffer.byteLength(digest));
    place += target.write(digest, place);
    target.set(value, place);
  }
  target.set(rest, end);
  return target;
}

const noBytes: Uint8Array = new Uint8Array();

function lengthOf(op: EncodedOp): number {
  return op instanceof StoredOp ? op.fieldLength : fieldLength(op.bytes.length);
}

/** Writes the ops from the start of `target`, those that lie together in one go. */
function writeOps(ops: readonly EncodedOp[], target: Buffer): void {
  let position = 0;
  for (let index = 0; index < ops.length; index += 1) {
    const op = ops[index] as EncodedOp;
    if (op instanceof StoredOp) {
      let last = op;
      for (; index + 1 < ops.length; index += 1) {
        const next = ops[index + 1];
        if (!(next instanceof StoredOp) || !next.follows(last)) break;
        last = next;
      }
      position = op.copyThrough(last, target, position);
    } else {
      position = writeHead(target, position, 10, op.bytes.length);
      target.set(op.bytes, position);
      position += op.bytes.length;
    }
  }
}

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

/** Length of a metadata entry from its key and its encoded value field. */
function entryLength(digest: string, value: Uint8Array): number {
  return fieldLength(Buffer.byteLength(digest)) + value.length;
}

/** Length of a field of bytes: tag, length, content. */
function fieldLength(content: number): number {
  return headLength(content) + content;
}
