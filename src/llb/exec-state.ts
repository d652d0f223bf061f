import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "./check-argument.js";
import { createMount, type ExecNode, mountOutput, mountsOf, rootOutput } from "./exec-node.js";
import type { MountOptions } from "./exec-options.js";
import type { State } from "./state.js";
import {
  type HasStateProps,
  propsOf,
  type StateProps,
  startProps,
  usableOutput,
  withOutput,
} from "./state-props.js";

/** A command that will run, and the filesystems that it leaves behind. */
export class ExecState {
  readonly #vertex: ExecNode;
  readonly #root: State;
  readonly #create: (props: StateProps) => State;

  /** For `State.run`. */
  constructor(vertex: ExecNode, root: State, create: (props: StateProps) => State) {
    this.#vertex = vertex;
    this.#root = root;
    this.#create = create;
  }

  /** The root filesystem after the command, with the surroundings that it had before. */
  root(): State {
    return this.#root;
  }

  /**
   * Mounts one more filesystem and returns its state after the command, with its own surroundings.
   *
   * The command itself changes: graphs marshalled before this call do not have the mount, those marshalled later do.
   * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
   */
  addMount(target: string, source: HasStateProps, options: MountOptions = {}): State {
    const call = "addMount()";
    checkOptions(call, options, [
      "readonly",
      "sourcePath",
      "forceNoOutput",
      "contentCache",
      "cache",
      "tmpfs",
    ]);
    const { output, meta } = propsOf(call, "source", source);
    const given = output === undefined ? undefined : source;
    const mount = createMount(call, "mount", { target, source: given, options });
    const { extras } = this.#vertex;
    this.#vertex.extras = Object.freeze({ ...extras, mounts: [...extras.mounts, mount] });
    return this.#create(withOutput(meta, mountOutput(this.#vertex, mount)));
  }

  /**
   * What the command leaves in the mount at `target`, with fresh surroundings.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` if there is no such mount or if it leaves nothing.
   */
  getMount(target: string): State {
    const call = "getMount()";
    const mounts = mountsOf(this.#vertex);
    const index = mounts.findIndex((one) => one.target === target);
    const mount = mounts[index];
    if (mount === undefined) {
      const targets = mounts.map((one) => one.target).join(", ");
      throw wrongArgument(
        call,
        `nothing is mounted at ${JSON.stringify(target)}`,
        `The mounts are: ${targets}.`,
      );
    }
    return this.#create(
      startProps(
        usableOutput(
          call,
          "the mount",
          index === 0 ? rootOutput(this.#vertex) : mountOutput(this.#vertex, mount),
        ),
      ),
    );
  }
}
