import { isDeepStrictEqual } from "node:util";
import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { OpMetadataSchema, OpSchema, SourceSchema } from "../gen/pb/ops_pb.js";
import { decodeMetadata, decodeOp, decodeSourceMaps } from "./decode-op.js";
import { writeMetadataEntry } from "./encode-definition.js";
import { nameOp } from "./encoded-op.js";
import { invalidDefinition } from "./invalid-definition.js";
import { fromBase64, isObject, metadataFromJson, opFromJson, sourceFromJson } from "./json-bytes.js";
import { readEnvelope } from "./read-envelope.js";
import { createWriter } from "./wire-writer.js";

/** One op in {@link DefinitionJson}. */
export interface OpJson {
  readonly digest: string;
  /** The op with protobuf's JSON names. */
  readonly op: JsonObject;
  /** Base64 of the op, where encoding `op` would give other bytes. */
  readonly raw?: string | undefined;
}

/**
 * A definition as JSON, with protobuf's JSON names.
 *
 * A `raw` is base64 of the bytes that its neighbours stand for, and is what counts. It is there only where encoding
 * the neighbours would give other bytes: unknown fields, fields or map entries in another order, repeated keys.
 */
export interface DefinitionJson {
  /** The ops in their order. */
  readonly def: readonly OpJson[];
  /** By op digest, in the order of the bytes. A value may have a `raw` beside its own fields. */
  readonly metadata: Readonly<Record<string, JsonObject>>;
  /** The source maps; may have a `raw` beside their own fields. */
  readonly Source?: JsonObject | undefined;
  /** The whole definition. */
  readonly raw?: string | undefined;
}

/**
 * The bytes of a `pb.Definition` as JSON. {@link definitionFromJson} gives exactly the same bytes again, whoever wrote
 * them.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if the bytes are no definition.
 */
export function definitionToJson(bytes: Uint8Array): DefinitionJson {
  const json = describe(bytes);
  return gives(bytes, () => compose(json)) ? json : { ...json, raw: toBase64(bytes) };
}

/**
 * The bytes that a definition's JSON stands for.
 *
 * A digest that is not its op's and a `raw` that says something else than what it stands beside are refused: whoever
 * edits an op removes both. Throws `ERR_KILN_INVALID_DEFINITION`.
 */
export function definitionFromJson(json: unknown): Uint8Array {
  if (!isObject(json)) throw invalidDefinition("the JSON is no object");
  const { raw, ...parts } = json;
  if (raw === undefined) return compose(parts);
  const bytes = fromBase64(raw, "raw");
  requireSame(describe(bytes), parts, "the definition");
  return bytes;
}

function describe(bytes: Uint8Array): DefinitionJson {
  const { ops, metadata, source } = readEnvelope(bytes);
  return {
    def: ops.map((op) => describeOp(op.bytes)),
    metadata: Object.fromEntries(metadata.map((entry) => [entry.digest, describeMetadata(entry.bytes)])),
    ...(source === undefined ? {} : { Source: describeSource(source.bytes) }),
  };
}

function describeOp(bytes: Uint8Array): OpJson {
  const op = toJson(OpSchema, decodeOp(bytes)) as JsonObject;
  const { digest } = nameOp(bytes);
  return gives(bytes, () => opFromJson(op, "")) ? { digest, op } : { digest, op, raw: toBase64(bytes) };
}

function describeMetadata(bytes: Uint8Array): JsonObject {
  const value = toJson(OpMetadataSchema, decodeMetadata(bytes, "metadata")) as JsonObject;
  return gives(bytes, () => metadataFromJson(value, "")) ? value : { ...value, raw: toBase64(bytes) };
}

function describeSource(bytes: Uint8Array): JsonObject {
  const value = toJson(SourceSchema, decodeSourceMaps(bytes, "source maps")) as JsonObject;
  return gives(bytes, () => sourceFromJson(value, "")) ? value : { ...value, raw: toBase64(bytes) };
}

function compose(json: object): Uint8Array {
  const known = ["def", "metadata", "Source", "raw"];
  const unknown = Object.keys(json).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalidDefinition(`the JSON has a key ${JSON.stringify(unknown)}`);
  const { def = [], metadata = {}, Source: source } = json as Partial<Record<keyof DefinitionJson, unknown>>;
  if (!Array.isArray(def)) throw invalidDefinition("def is no array");
  if (!isObject(metadata)) throw invalidDefinition("metadata is no object");
  const writer = createWriter();
  for (const [index, entry] of def.entries()) writer.uint32(10).bytes(composeOp(entry, `def[${index}]`));
  for (const [digest, entry] of Object.entries(metadata)) {
    const where = `metadata[${JSON.stringify(digest)}]`;
    writeMetadataEntry(writer, digest, composeEntry(entry, where, metadataFromJson, describeMetadata));
  }
  if (source !== undefined) {
    writer.uint32(26).bytes(composeEntry(source, "Source", sourceFromJson, describeSource));
  }
  return writer.finish();
}

function composeOp(entry: unknown, where: string): Uint8Array {
  if (!isObject(entry) || !isObject(entry["op"])) throw invalidDefinition(`${where} has no op`);
  const { op, digest, raw } = entry;
  const bytes = raw === undefined ? opFromJson(op as JsonObject, where) : fromBase64(raw, where);
  if (raw !== undefined) requireSame(describeOp(bytes).op, op, where);
  const actual = nameOp(bytes).digest;
  if (digest === undefined || digest === actual) return bytes;
  throw invalidDefinition(`${where} has the digest ${actual}; correct or remove the one beside it`);
}

function composeEntry(
  entry: unknown,
  where: string,
  encode: (value: JsonObject, where: string) => Uint8Array,
  describeBytes: (bytes: Uint8Array) => JsonObject,
): Uint8Array {
  if (!isObject(entry)) throw invalidDefinition(`${where} is no object`);
  const { raw, ...value } = entry;
  if (raw === undefined) return encode(value as JsonObject, where);
  const bytes = fromBase64(raw, where);
  const { raw: _, ...described } = describeBytes(bytes);
  requireSame(described, value, where);
  return bytes;
}

function requireSame(described: unknown, given: unknown, where: string): void {
  if (isDeepStrictEqual(described, given)) return;
  throw invalidDefinition(`${where} and its raw bytes disagree; remove raw to encode an edited value`);
}

/** Whether encoding gives the bytes; no if it fails, as it does for what JSON cannot hold. */
function gives(bytes: Uint8Array, encode: () => Uint8Array): boolean {
  try {
    return Buffer.compare(encode(), bytes) === 0;
  } catch {
    return false;
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
