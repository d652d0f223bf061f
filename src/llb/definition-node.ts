import type { EncodedOp } from "./encoded-op.js";
import type { OpMetadataFields } from "./op-fields.js";
import type { SourceLocation } from "./source-map.js";
import type { Output } from "./vertex.js";

/** An op of a definition that was marshalled before. It is sent again byte for byte. */
export interface DefinitionNode {
  readonly kind: "definition";
  readonly op: EncodedOp;
  readonly inputs: readonly Output[];
  readonly metadata: OpMetadataFields;
  readonly locations: readonly SourceLocation[];
}
