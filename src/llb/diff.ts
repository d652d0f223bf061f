import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import {
  type ConstraintOptions,
  type Constraints,
  constraintKeys,
  resolveConstraints,
} from "./constraints.js";
import { State, scratch } from "./state.js";
import { inputOf, propsOf, withOutput } from "./state-props.js";
import { type Output, singleOutput } from "./vertex.js";

/** What one filesystem adds to another, before it is encoded. */
export interface DiffNode {
  readonly kind: "diff";
  readonly lower: Output;
  readonly upper: Output | undefined;
  readonly constraints: Constraints;
}

/**
 * What `upper` adds to `lower`, removals included, with the surroundings of `lower`. Over an empty `lower` that is
 * `upper` itself. Needs BuildKit 0.10 with the containerd store.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function diff(lower: State, upper: State, options: ConstraintOptions = {}): State {
  const call = "diff()";
  checkOptions(call, options, constraintKeys);
  const lowerOutput = inputOf(call, "lower", lower);
  const upperOutput = inputOf(call, "upper", upper);
  if (lowerOutput === undefined) return upperOutput === undefined ? scratch() : upper;
  const constraints = resolveConstraints(call, options);
  const node: DiffNode = Object.freeze({
    kind: "diff",
    lower: lowerOutput,
    upper: upperOutput,
    constraints: Object.freeze({ ...constraints, caps: [...constraints.caps, capability.diff] }),
  });
  return new State(withOutput(propsOf(call, "lower", lower).meta, singleOutput(node)));
}
