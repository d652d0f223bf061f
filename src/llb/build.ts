import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import { checkText, wrongArgument } from "./check-argument.js";
import {
  type ConstraintOptions,
  type Constraints,
  constraintKeys,
  resolveConstraints,
} from "./constraints.js";
import type { Output } from "./vertex.js";

/** Options of `State.build`. */
export interface BuildOptions extends ConstraintOptions {
  /** Path of the file with the definition. Default: `buildkit.llb.definition`. */
  readonly filename?: string | undefined;
}

/** A nested build, before it is encoded. */
export interface BuildNode {
  readonly kind: "build";
  readonly source: Output;
  readonly filename: string;
  readonly constraints: Constraints;
}

/** A nested build of what lies in `source`. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function createBuild(source: Output | undefined, options: BuildOptions): BuildNode {
  const call = "build()";
  checkOptions(call, options, ["filename", ...constraintKeys]);
  if (source === undefined) {
    throw wrongArgument(call, "the state is empty", "Call it on a state that holds the definition's file.");
  }
  const constraints = resolveConstraints(call, options);
  return Object.freeze({
    kind: "build",
    source,
    filename: options.filename === undefined ? "" : checkText(call, "filename", options.filename),
    constraints: Object.freeze({ ...constraints, caps: [...constraints.caps, capability.buildFileName] }),
  });
}
