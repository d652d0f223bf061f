import type { FileAction, Op } from "../gen/pb/ops_pb.js";
import { decodeOp } from "./decode-op.js";
import type { Definition } from "./definition.js";

/** What kind of operation a vertex is; `unknown` for one of a newer protocol. */
export type VertexKind = "source" | "exec" | "file" | "merge" | "diff" | "build" | "passthrough" | "unknown";

/** One edge: a result of another op. */
export interface VertexInput {
  readonly digest: string;
  readonly index: number;
}

/** An op for people. */
export interface VertexInfo {
  readonly digest: string;
  readonly kind: VertexKind;
  /** What the daemon calls it: its custom name if it has one, else one made from the op. */
  readonly name: string;
  readonly customName: string | undefined;
  /** `os/arch[/variant]`; `undefined` where the op does not depend on one. */
  readonly platform: string | undefined;
  readonly inputs: readonly VertexInput[];
}

// Names of merges and diffs hold the names of their inputs and would grow without bound.
const longestName = 1000;

/** Describes all ops of a definition but the last. Throws `ERR_KILN_INVALID_DEFINITION`. */
export function describeVertices(definition: Definition): readonly VertexInfo[] {
  const names = new Map<string, string>();
  return definition.ops.slice(0, -1).map(({ digest, bytes }, index) => {
    const op = decodeOp(bytes, `op ${index}`);
    const customName = definition.metadata.get(digest)?.description?.["llb.customname"];
    const name = customName ?? nameOfOp(op, (input) => names.get(input) ?? input.slice(0, 19));
    names.set(digest, name);
    return {
      digest,
      kind: op.op.case ?? "unknown",
      name,
      customName,
      platform: platformOf(op),
      inputs: op.inputs.map((input) => ({ digest: input.digest, index: Number(input.index) })),
    };
  });
}

/** `os/arch[/variant]` of an op. */
export function platformOf(op: Op): string | undefined {
  if (op.platform === undefined) return undefined;
  const { OS, Architecture, Variant } = op.platform;
  return [OS, Architecture, ...(Variant === "" ? [] : [Variant])].join("/");
}

/** The name that the daemon makes for an op without a custom name; `load` gives the names of its inputs. */
export function nameOfOp(op: Op, load: (digest: string) => string): string {
  const inputName = (index: number): string => load(op.inputs[index]?.digest ?? "");
  const body = op.op;
  switch (body.case) {
    case "source":
      return body.value.identifier;
    case "exec":
      return (body.value.meta?.args ?? []).join(" ");
    case "file":
      return body.value.actions.map(nameOfAction).join(", ");
    case "build":
      return "build";
    case "merge":
      return `merge (${op.inputs.map((_, index) => inputName(index)).join(", ")})`.slice(0, longestName);
    case "diff": {
      const side = (index: bigint | undefined): string =>
        index === undefined || index < 0n ? "scratch" : `(${inputName(Number(index))})`;
      return `diff ${side(body.value.lower?.input)} -> ${side(body.value.upper?.input)}`.slice(
        0,
        longestName,
      );
    }
    case "passthrough":
      return `passthrough ${body.value.id}`;
    default:
      return "unknown";
  }
}

function nameOfAction({ action }: FileAction): string {
  switch (action.case) {
    case "mkdir":
    case "mkfile":
    case "rm":
      return `${action.case} ${action.value.path}`;
    case "symlink":
      return `symlink ${action.value.newpath} -> ${action.value.oldpath}`;
    case "copy":
      return `copy ${action.value.src} ${action.value.dest}`;
    default:
      return "unknown";
  }
}
