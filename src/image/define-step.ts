import type { CallSite } from "../errors.js";
import type { BaseNeed, DeviceNeed, FileNeed, TreeNeed } from "../model/needs.js";
import type { ChainState } from "./chain-state.js";
import type { LowerContext } from "./lower-context.js";
import type { Secret } from "./secret.js";

type Bare<T extends { readonly id: string; readonly location: unknown }> = T extends unknown
  ? Omit<T, "id" | "location" | "title" | "ignoreFile"> & IgnoreFileKey<T>
  : never;

type IgnoreFileKey<T> = T extends { readonly ignoreFile: unknown }
  ? { /** Key of one of the step's own files. */ readonly ignoreFile: string | undefined }
  : unknown;

/** What one step needs from outside, by keys of its own choosing. */
export interface StepNeeds {
  readonly bases?: Readonly<Record<string, Bare<BaseNeed>>> | undefined;
  readonly trees?: Readonly<Record<string, Bare<TreeNeed>>> | undefined;
  readonly files?: Readonly<Record<string, Pick<FileNeed, "path">>> | undefined;
  readonly secrets?: Readonly<Record<string, Secret>> | undefined;
  readonly devices?: Readonly<Record<string, Pick<DeviceNeed, "gpu">>> | undefined;
}

/** How a step is written. `Input` is what its caller passes, `Args` what validation makes of it. */
export interface StepDefinition<Input, Args> {
  /** Stable name, shown in progress, plans and errors; built-in steps are named like their method. */
  readonly id: string;
  /** Counts up when the same arguments begin to mean something else. */
  readonly version: number;
  /**
   * Checks the input and brings it into one form. Runs at the user's call: throws `KilnError` for what is
   * wrong. No I/O.
   */
  readonly validate: (input: Input) => Args;
  /** One line for people, e.g. `aptInstall git curl`. */
  readonly title: (args: Args) => string;
  /** Bases, trees, files, secrets and devices of the step; default none. Pure. */
  readonly needs?: ((args: Args) => StepNeeds) | undefined;
  /** Adds the step to the chain: ops, config and history. Pure: facts come from `context`. */
  readonly lower: (chain: ChainState, args: Args, context: LowerContext) => ChainState;
}

/** A step as {@link defineStep} returns it; its types are those of its input. */
export interface Step<Input> {
  readonly id: string;
  readonly version: number;
  /** Validates the input and binds it, at the call that `location` names. */
  readonly apply: (input: Input, location: CallSite | undefined) => AppliedStep;
}

/** A step with its arguments, as it sits in a chain. */
export interface AppliedStep {
  readonly id: string;
  readonly version: number;
  readonly title: string;
  readonly location: CallSite | undefined;
  readonly needs: StepNeeds;
  readonly lower: (chain: ChainState, context: LowerContext) => ChainState;
}

/**
 * Defines a step of image chains.
 *
 * Every built-in step is made by this function; a step of yours appears in plans, progress and errors like
 * them. Use it with `image.step(myStep, input)`.
 */
export function defineStep<Input, Args>(definition: StepDefinition<Input, Args>): Step<Input> {
  const { id, version } = definition;
  return {
    id,
    version,
    apply(input, location) {
      const args = definition.validate(input);
      return {
        id,
        version,
        title: definition.title(args),
        location,
        needs: definition.needs?.(args) ?? {},
        lower: (chain, context) => definition.lower(chain, args, context),
      };
    },
  };
}
