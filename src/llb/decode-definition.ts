import { Definition } from "./definition.js";
import type { OpMetadataFields } from "./op-fields.js";
import { readEnvelope } from "./read-envelope.js";

/**
 * Reads the bytes of a `pb.Definition`, ours or anybody's. Every op keeps its bytes and so its digest.
 *
 * What is not part of the protocol as Kiln knows it is left out of metadata and source maps; to keep every byte use
 * `definitionToJson`. Throws `ERR_KILN_INVALID_DEFINITION` with what is wrong and where.
 */
export function decodeDefinition(bytes: Uint8Array): Definition {
  const { ops, metadata, source } = readEnvelope(bytes);
  const byDigest = new Map<string, OpMetadataFields>();
  for (const { digest, message } of metadata) byDigest.set(digest, message);
  return new Definition({
    ops: ops.map(({ digest, bytes: own }) => ({ digest, bytes: Uint8Array.from(own) })),
    metadata: byDigest,
    source: source?.message,
  });
}
