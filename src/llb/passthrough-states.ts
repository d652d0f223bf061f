import { checkOptions } from "../internal/check-options.js";
import { type ConstraintOptions, constraintKeys } from "./constraints.js";
import { createPassthrough, type PassthroughInput } from "./passthrough.js";
import { State } from "./state.js";
import { startProps } from "./state-props.js";

/**
 * Hands filesystems through once all inputs are made: one state with fresh surroundings for every input that has
 * `output`. `id` names the op. Needs BuildKit 0.31.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function passthrough(
  id: string,
  inputs: readonly PassthroughInput[],
  options: ConstraintOptions = {},
): readonly State[] {
  const call = "passthrough()";
  checkOptions(call, options, constraintKeys);
  const outputs = createPassthrough(call, id, { inputs, constraints: options });
  return outputs.map((output) => new State(startProps(output)));
}
