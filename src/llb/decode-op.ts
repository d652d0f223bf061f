import type * as pb from "../gen/pb/ops_pb.js";
import { invalidDefinition } from "./invalid-definition.js";
import { decodeMessage } from "./message-codec.js";

/** The message in some bytes of an op. `where` says which op, for the error. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeOp(bytes: Uint8Array, where = "an op"): pb.Op {
  return decode("Op", bytes, where);
}

/** The message in some bytes of an op's metadata. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeMetadata(bytes: Uint8Array, where: string): pb.OpMetadata {
  return decode("OpMetadata", bytes, where);
}

/** The message in some bytes of the source maps. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function decodeSourceMaps(bytes: Uint8Array, where: string): pb.Source {
  return decode("Source", bytes, where);
}

function decode<Name extends Parameters<typeof decodeMessage>[0]>(
  name: Name,
  bytes: Uint8Array,
  where: string,
): ReturnType<typeof decodeMessage<Name>> {
  try {
    return decodeMessage(name, bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalidDefinition(`${where} cannot be read: ${reason}`, error);
  }
}
