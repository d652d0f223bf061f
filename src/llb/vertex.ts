import type { Platform } from "../oci/platform.js";
import type { BuildNode } from "./build.js";
import type { Constraints } from "./constraints.js";
import type { DefinitionNode } from "./definition-node.js";
import type { DiffNode } from "./diff.js";
import type { ExecNode, MountNode } from "./exec-node.js";
import type { FileNode } from "./file-node.js";
import type { MergeNode } from "./merge.js";
import type { PassthroughNode } from "./passthrough.js";

/** A source op before it is encoded. */
export interface SourceNode {
  readonly kind: "source";
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly constraints: Constraints;
}

/** One operation of a graph that is not encoded yet. Nodes refer to their inputs by identity. */
export type Vertex =
  | SourceNode
  | ExecNode
  | FileNode
  | MergeNode
  | DiffNode
  | PassthroughNode
  | BuildNode
  | DefinitionNode;

/** One result of a vertex: a filesystem that other vertices can start from. */
export interface Output {
  readonly vertex: Vertex;
  /** Which result; of an exec it follows from `mount` when the graph is encoded. */
  readonly index: number;
  /** The exec's mount that this is the result of. */
  readonly mount: MountNode | undefined;
  /** The platform that the vertex was given explicitly; states of this output take it over. */
  readonly platform: Platform | undefined;
  /** Set where nothing may be built on this output: why not. */
  readonly unusable: string | undefined;
}

/** The only result of a vertex. */
export function singleOutput(vertex: Vertex, platform?: Platform): Output {
  return { vertex, index: 0, mount: undefined, platform, unusable: undefined };
}
