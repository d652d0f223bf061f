import { capability } from "./capabilities.js";
import { checkFlag, checkName, wrongArgument } from "./check-argument.js";
import { type ConstraintOptions, type Constraints, resolveConstraints } from "./constraints.js";
import { type HasStateProps, inputOf } from "./state-props.js";
import type { Output } from "./vertex.js";

/** An input of a passthrough op; with `output` it is also one of the op's results. */
export interface PassthroughInput {
  readonly state: HasStateProps;
  readonly output?: boolean | undefined;
}

/** Filesystems handed through once others are made too, before they are encoded. */
export interface PassthroughNode {
  readonly kind: "passthrough";
  readonly id: string;
  readonly inputs: readonly Output[];
  /** For every result the input that it is. */
  readonly outputs: readonly number[];
  readonly constraints: Constraints;
}

/** The results of a passthrough op, one for each input with `output`. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function createPassthrough(
  call: string,
  id: string,
  parts: { readonly inputs: readonly PassthroughInput[]; readonly constraints: ConstraintOptions },
): readonly Output[] {
  checkName(call, "id", id);
  if (!Array.isArray(parts.inputs)) {
    throw wrongArgument(call, "inputs must be an array", "Write them as [{ state, output: true }].");
  }
  const inputs: Output[] = [];
  const outputs: number[] = [];
  for (const [index, { state, output }] of (parts.inputs as readonly PassthroughInput[]).entries()) {
    const input = inputOf(call, `inputs[${index}]`, state);
    const handed = checkFlag(call, `inputs[${index}].output`, output);
    // Like Go's client: an empty filesystem is nothing to wait for or to hand through.
    if (input === undefined) continue;
    const position = inputs.push(input) - 1;
    if (handed) outputs.push(position);
  }
  if (outputs.length === 0) {
    throw wrongArgument(call, "no input is handed through", "Set output: true on one that is not empty.");
  }
  const constraints = resolveConstraints(call, parts.constraints);
  const vertex: PassthroughNode = Object.freeze({
    kind: "passthrough",
    id,
    inputs: Object.freeze(inputs),
    outputs: Object.freeze(outputs),
    constraints: Object.freeze({ ...constraints, caps: [...constraints.caps, capability.passthrough] }),
  });
  return outputs.map((_, index) => ({
    vertex,
    index,
    mount: undefined,
    platform: undefined,
  }));
}
