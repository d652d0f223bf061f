import type { Op } from "../gen/pb/ops_pb.js";
import type { Platform } from "../oci/platform.js";
import { decodeOp } from "./decode-op.js";
import { Definition } from "./definition.js";
import type { DefinitionNode } from "./definition-node.js";
import { invalidDefinition } from "./invalid-definition.js";
import type { SourceInfoFields } from "./op-fields.js";
import type { SourceLocation, SourceMap } from "./source-map.js";
import { State, scratch } from "./state.js";
import { startProps } from "./state-props.js";
import type { Output } from "./vertex.js";

/**
 * The state that a marshalled graph makes, to build on. Its ops are sent again byte for byte, with their metadata and
 * source locations. Surroundings are not part of a graph: they start afresh.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op cannot be read or depends on one that is not there before it.
 */
export function fromDefinition(definition: Definition): State {
  if (definition.ops.length === 0) return scratch();
  const locations = locationsOf(definition);
  const nodes = new Map<string, { readonly node: DefinitionNode; readonly platform: Platform | undefined }>();
  const outputOf = (index: number, input: Op["inputs"][number]): Output => {
    const known = nodes.get(input.digest);
    if (known === undefined)
      throw invalidDefinition(`op ${index} needs ${input.digest}, which is not before it`);
    const number = Number(input.index);
    if (number < 0) throw invalidDefinition(`op ${index} needs result ${number} of ${input.digest}`);
    return {
      vertex: known.node,
      index: number,
      mount: undefined,
      platform: known.platform,
    };
  };
  const last = definition.ops.length - 1;
  for (const [index, encoded] of definition.ops.entries()) {
    const op = decodeOp(encoded.bytes, `op ${index}`);
    const inputs = op.inputs.map((input) => outputOf(index, input));
    if (index === last) {
      const [result] = inputs;
      if (result === undefined) throw invalidDefinition("the last op names no result");
      return new State(startProps(result));
    }
    const node: DefinitionNode = Object.freeze({
      kind: "definition",
      op: encoded,
      inputs: Object.freeze(inputs),
      metadata: definition.metadata.get(encoded.digest) ?? {},
      locations: locations.get(encoded.digest) ?? [],
    });
    nodes.set(encoded.digest, { node, platform: platformOf(op) });
  }
  return scratch();
}

function platformOf({ platform }: Op): Platform | undefined {
  if (platform === undefined) return undefined;
  const { OS: os, Architecture: architecture, Variant: variant, OSVersion: osVersion, OSFeatures } = platform;
  const osFeatures = OSFeatures.length === 0 ? undefined : OSFeatures;
  return { os, architecture, variant, osVersion, osFeatures };
}

function locationsOf({ source }: Definition): ReadonlyMap<string, readonly SourceLocation[]> {
  const maps = (source?.infos ?? []).map(sourceMapOf);
  const entries = Object.entries(source?.locations ?? {}).map(
    ([digest, list]): [string, SourceLocation[]] => [
      digest,
      (list?.locations ?? []).map(({ sourceIndex = 0, ranges = [] }) => {
        const sourceMap = maps[sourceIndex];
        if (sourceMap === undefined) throw invalidDefinition(`there is no source map number ${sourceIndex}`);
        return { sourceMap, ranges: ranges as SourceLocation["ranges"] };
      }),
    ],
  );
  return new Map(entries);
}

function sourceMapOf(info: SourceInfoFields): SourceMap {
  const { filename = "", data = new Uint8Array(), language = "", definition } = info;
  return { filename, data, language, state: undefined, definition: definition && definitionOf(definition) };
}

function definitionOf(fields: NonNullable<SourceInfoFields["definition"]>): Definition {
  return Definition.fromFields(fields);
}
