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
  /** The exec's mount that this is the result of; `undefined` = its root. */
  readonly mount: MountNode | undefined;
  /** The platform that the vertex was given explicitly; states of this output take it over. */
  readonly platform: Platform | undefined;
}

/** The only result of a vertex. */
export function singleOutput(vertex: Vertex, platform?: Platform): Output {
  return { vertex, index: 0, mount: undefined, platform };
}

/** Why nothing may be built on an output; `undefined` if it may. */
export function whyUnusable({ mount }: Output): string | undefined {
  if (mount === undefined) return undefined;
  const { tmpfs, cache, noOutput } = mount.how;
  if (tmpfs !== undefined) return `the tmpfs mount at ${mount.target} leaves nothing behind`;
  if (cache !== undefined) return `the cache mount at ${mount.target} is not part of the result`;
  return noOutput ? `the mount at ${mount.target} was told to have no output` : undefined;
}
