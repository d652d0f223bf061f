import type { Op, OpMetadata, Source } from "../gen/pb/ops_pb.js";
import { decodeMetadata, decodeOp, decodeSourceMaps } from "./decode-op.js";
import { type EncodedOp, nameOp } from "./encoded-op.js";
import { invalidDefinition } from "./invalid-definition.js";
import { bytesOf, readFields, type WireField } from "./wire-reader.js";

/** An op in an encoded definition. */
export interface EnvelopeOp extends EncodedOp {
  readonly message: Op;
}

/** An entry of the metadata map in an encoded definition. */
export interface EnvelopeMetadata {
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly message: OpMetadata;
}

/** The parts of an encoded definition in the order in which they lie there, each with its own bytes. */
export interface Envelope {
  readonly ops: readonly EnvelopeOp[];
  readonly metadata: readonly EnvelopeMetadata[];
  readonly source: { readonly bytes: Uint8Array; readonly message: Source } | undefined;
}

/**
 * Takes the bytes of a `pb.Definition` apart. Fields of a newer protocol are left out.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` with what is wrong and where.
 */
export function readEnvelope(definition: Uint8Array): Envelope {
  const ops: EnvelopeOp[] = [];
  const metadata: EnvelopeMetadata[] = [];
  const sources: Uint8Array[] = [];
  for (const field of readFields(definition, "the definition")) {
    const { number, offset } = field;
    if (number > 3) continue;
    const bytes = bytesOf(field, "the definition");
    if (number === 1) {
      const message = decodeOp(bytes, `op ${ops.length} at byte ${offset}`);
      ops.push({ ...nameOp(bytes), message });
    } else if (number === 2) metadata.push(readEntry(bytes, field));
    else sources.push(bytes);
  }
  // A message that comes in several pieces is the pieces one after another.
  const bytes = sources.length === 1 ? sources[0] : Buffer.concat(sources);
  const source =
    bytes === undefined || sources.length === 0
      ? undefined
      : { bytes, message: decodeSourceMaps(bytes, "the source maps") };
  return { ops, metadata, source };
}

function readEntry(entry: Uint8Array, { offset }: WireField): EnvelopeMetadata {
  const where = `the metadata entry at byte ${offset}`;
  let digest = "";
  const values: Uint8Array[] = [];
  for (const field of readFields(entry, where)) {
    if (field.number === 1) digest = readText(bytesOf(field, where), where);
    else if (field.number === 2) values.push(bytesOf(field, where));
  }
  const bytes = values.length === 1 && values[0] !== undefined ? values[0] : Buffer.concat(values);
  return { digest, bytes, message: decodeMetadata(bytes, where) };
}

function readText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalidDefinition(`${where} has a key that is not UTF-8`, error);
  }
}
