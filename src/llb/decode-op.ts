import { fromBinary } from "@bufbuild/protobuf";
import { KilnError } from "../errors.js";
import * as pb from "../gen/pb/ops_pb.js";

/** The error for bytes that are no definition: where and what. */
export function invalidDefinition(problem: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_INVALID_DEFINITION", `not an LLB definition: ${problem}`, {
    hint: "Pass the bytes of a pb.Definition, as the client libraries and `buildctl debug dump-llb` read them.",
    cause,
  });
}

/** The message in some bytes of an op. `where` says which op, for the error. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeOp(bytes: Uint8Array, where = "an op"): pb.Op {
  try {
    return fromBinary(pb.OpSchema, bytes);
  } catch (error) {
    throw invalidDefinition(`${where} cannot be read: ${reasonOf(error)}`, error);
  }
}

/** The message in some bytes of an op's metadata. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeMetadata(bytes: Uint8Array, where: string): pb.OpMetadata {
  try {
    return fromBinary(pb.OpMetadataSchema, bytes);
  } catch (error) {
    throw invalidDefinition(`${where} cannot be read: ${reasonOf(error)}`, error);
  }
}

/** The message in some bytes of the source maps. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeSourceMaps(bytes: Uint8Array, where: string): pb.Source {
  try {
    return fromBinary(pb.SourceSchema, bytes);
  } catch (error) {
    throw invalidDefinition(`${where} cannot be read: ${reasonOf(error)}`, error);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
