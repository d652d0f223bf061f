import type * as pb from "../gen/pb/ops_pb.js";
import { compareBytes, sortedKeys } from "./byte-order.js";
import { decodeMetadata, decodeOp, decodeSourceMaps } from "./decode-op.js";
import { encodeMetadata, encodeSourceMaps } from "./encode-definition.js";
import { encodeEnvelope } from "./encode-envelope.js";
import { type EncodedOp, nameOp } from "./encoded-op.js";
import type { DefinitionFields, OpMetadataFields, SourceMapFields } from "./op-fields.js";
import { type HasStateProps, isState, stateProps } from "./state-props.js";
import type { Vertex } from "./vertex.js";
import { describeVertices, type VertexInfo } from "./vertex-info.js";

/** What a {@link Definition} is made of. */
export interface DefinitionParts {
  /** Inputs before the ops that use them; the last one only names the result. Empty = an empty filesystem. */
  readonly ops: readonly EncodedOp[];
  /** By op digest. */
  readonly metadata: ReadonlyMap<string, OpMetadataFields>;
  readonly source: SourceMapFields | undefined;
  /** Digests of the vertices that were marshalled, where they were. */
  readonly vertices?: ReadonlyMap<Vertex, { readonly digest: string }> | undefined;
  /** Capabilities that the ops need beside those in the metadata, where they are known. */
  readonly unsentCaps?: ReadonlySet<string> | undefined;
}

/**
 * A graph as it is sent to a daemon: encoded ops, their metadata and their source maps. Immutable.
 */
export class Definition {
  /** Inputs before the ops that use them; the last one only names the result. Empty = an empty filesystem. */
  readonly ops: readonly EncodedOp[];
  /** What goes with an op but is not part of its digest, by op digest. */
  readonly metadata: ReadonlyMap<string, OpMetadataFields>;
  /** Where the ops were written. */
  readonly source: SourceMapFields | undefined;
  /** Ids of capabilities that the ops need beside those in the metadata. Known for what `marshal` returned. */
  readonly unsentCaps: ReadonlySet<string>;
  readonly #digests: DefinitionParts["vertices"];
  #infos: readonly VertexInfo[] | undefined;

  /** For `marshal`, `decodeDefinition` and tests. */
  constructor(parts: DefinitionParts) {
    this.ops = parts.ops;
    this.metadata = parts.metadata;
    this.source = parts.source;
    this.unsentCaps = parts.unsentCaps ?? new Set();
    this.#digests = parts.vertices;
  }

  /** A definition within another message. */
  static fromFields(fields: DefinitionFields): Definition {
    const entries = Object.entries(fields.metadata ?? {});
    return new Definition({
      ops: (fields.def ?? []).map((bytes) => nameOp(bytes)),
      metadata: new Map(entries.map(([digest, metadata]) => [digest, metadata ?? {}])),
      source: fields.Source,
    });
  }

  /**
   * The op and result that the graph is for; `undefined` = an empty filesystem.
   *
   * Throws `ERR_KILN_INVALID_DEFINITION` if the last op of a foreign definition cannot be read.
   */
  head(): { readonly digest: string; readonly index: number } | undefined {
    const last = this.ops[this.ops.length - 1];
    const input = last === undefined ? undefined : decodeOp(last.bytes).inputs[0];
    return input === undefined ? undefined : { digest: input.digest, index: Number(input.index) };
  }

  /**
   * Digest of the op that makes a state's filesystem, as the daemon names it in its status events; `undefined` if the
   * state is empty or no part of this graph. Known for what `marshal` returned.
   */
  digestOf(state: HasStateProps): string | undefined {
    const output = isState(state) ? state[stateProps].output : undefined;
    return output === undefined ? undefined : this.#digests?.get(output.vertex)?.digest;
  }

  /**
   * All ops but the last with their kind and name, for progress and graphs. Computed once.
   *
   * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read.
   */
  vertices(): readonly VertexInfo[] {
    this.#infos ??= describeVertices(this);
    return this.#infos;
  }

  /**
   * For `rewriteOps`: a definition of other ops. `renamed` leads from the digests that ops had to those
   * that they have there.
   */
  withOps(
    parts: Pick<DefinitionParts, "ops" | "metadata" | "source">,
    renamed: ReadonlyMap<string, string>,
  ): Definition {
    const vertices = new Map(
      [...(this.#digests ?? [])].map(([vertex, { digest }]) => [
        vertex,
        { digest: renamed.get(digest) ?? digest },
      ]),
    );
    return new Definition({ ...parts, vertices, unsentCaps: this.unsentCaps });
  }

  /** The bytes of the `pb.Definition`, all maps sorted: equal graphs give equal bytes. */
  toBinary(): Uint8Array {
    return encodeEnvelope(this.ops, this.metadata, this.source);
  }

  /** The generated message, to put into a request. */
  toMessage(): pb.Definition {
    const message: pb.Definition = {
      $typeName: "pb.Definition",
      def: this.ops.map(({ bytes }) => bytes),
      metadata: {},
    };
    const created = new Map<OpMetadataFields, pb.OpMetadata>();
    for (const [digest, metadata] of [...this.metadata].sort(([a], [b]) => compareBytes(a, b))) {
      let value = created.get(metadata);
      if (value === undefined) {
        value = decodeMetadata(encodeMetadata(metadata, sortedKeys), "metadata");
        created.set(metadata, value);
      }
      message.metadata[digest] = value;
    }
    if (this.source !== undefined)
      message.Source = decodeSourceMaps(encodeSourceMaps(this.source, sortedKeys), "source");
    return message;
  }
}
