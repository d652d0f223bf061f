import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import { wrongArgument } from "./check-argument.js";
import {
  type ConstraintOptions,
  type Constraints,
  constraintKeys,
  resolveConstraints,
} from "./constraints.js";
import { State, scratch } from "./state.js";
import { type HasStateProps, inputOf, propsOf, withOutput } from "./state-props.js";
import { type Output, singleOutput } from "./vertex.js";

/** Filesystems laid over one another, before they are encoded. */
export interface MergeNode {
  readonly kind: "merge";
  readonly inputs: readonly Output[];
  readonly constraints: Constraints;
}

/**
 * The filesystems of several states laid over one another, later ones on top, with the surroundings of the first.
 * Empty ones do not count; a single one is returned as it is. Needs BuildKit 0.10 with the containerd store.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function merge(states: readonly State[], options: ConstraintOptions = {}): State {
  const call = "merge()";
  checkOptions(call, options, constraintKeys);
  if (!Array.isArray(states)) {
    throw wrongArgument(call, "states must be an array", "Write merge([a, b]).");
  }
  const filled = (states as readonly State[]).filter((state, index) =>
    inputOf(call, `states[${index}]`, state),
  );
  const [first] = filled;
  if (first === undefined) return scratch();
  if (filled.length === 1) return first;
  const constraints = resolveConstraints(call, options);
  const node: MergeNode = Object.freeze({
    kind: "merge",
    inputs: Object.freeze(filled.flatMap((state) => outputs(state))),
    constraints: Object.freeze({ ...constraints, caps: [...constraints.caps, capability.merge] }),
  });
  return new State(withOutput(propsOf(call, "states[0]", first).meta, singleOutput(node)));
}

function outputs(state: HasStateProps): readonly Output[] {
  const output = inputOf("merge()", "states", state);
  return output === undefined ? [] : [output];
}
