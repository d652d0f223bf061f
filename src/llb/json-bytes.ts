import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { OpMetadataSchema, OpSchema, SourceSchema } from "../gen/pb/ops_pb.js";
import { encodeMetadata, encodeSourceMaps } from "./encode-definition.js";
import { encodeOp } from "./encode-op.js";
import { invalidDefinition } from "./invalid-definition.js";

/** Whether some JSON is an object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes of an op that is given as JSON. Throws `ERR_KILN_INVALID_DEFINITION`, naming `where`. */
export function opFromJson(json: JsonObject, where: string): Uint8Array {
  return parse(where, () => encodeOp(fromJson(OpSchema, json)));
}

/** The bytes of metadata given as JSON, maps in its order. Throws `ERR_KILN_INVALID_DEFINITION`, naming `where`. */
export function metadataFromJson(json: JsonObject, where: string): Uint8Array {
  return parse(where, () => encodeMetadata(fromJson(OpMetadataSchema, json), Object.keys));
}

/** The bytes of source maps given as JSON, maps in its order. Throws `ERR_KILN_INVALID_DEFINITION`, naming `where`. */
export function sourceFromJson(json: JsonObject, where: string): Uint8Array {
  return parse(where, () => encodeSourceMaps(fromJson(SourceSchema, json), Object.keys));
}

/** The bytes in some base64. Throws `ERR_KILN_INVALID_DEFINITION`, naming `where`. */
export function fromBase64(text: unknown, where: string): Uint8Array {
  if (
    typeof text === "string" &&
    /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
  ) {
    return Buffer.from(text, "base64");
  }
  throw invalidDefinition(`raw of ${where} is not base64`);
}

function parse(where: string, encode: () => Uint8Array): Uint8Array {
  try {
    return encode();
  } catch (error) {
    throw invalidDefinition(`${where}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}
