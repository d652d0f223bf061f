import { type CallSite, KilnError } from "../errors.js";
import type {
  BaseNeed,
  FileNeed,
  ListingNeed,
  RegistryAuth,
  RegistryBaseNeed,
  TreeNeed,
} from "../model/needs.js";
import type { BuilderVersion } from "./builder-version.js";
import type { ChainState } from "./chain-state.js";
import type { LowerContext } from "./lower-context.js";
import type { ModalContext, ModalLayer } from "./modal-layer.js";
import type { Secret } from "./secret.js";
import type { CheckedStepOptions } from "./step-options.js";
import type { StepTraits } from "./step-traits.js";

/** What a chain is to those who read it: its steps, base first. An `Image` is one. */
export interface Chain {
  readonly steps: readonly AppliedStep[];
}

/** A base that a step needs. */
export type StepBase =
  | (Omit<RegistryBaseNeed, "id" | "location" | "auth"> & {
      /** Credentials: `secret` is a key of the step's own secrets. */
      readonly auth?: RegistryAuth | undefined;
    })
  | Bare<Exclude<BaseNeed, RegistryBaseNeed>>;

type Bare<T> = T extends unknown ? Omit<T, "id" | "location"> : never;

/** A local tree that a step needs; `ignoreFiles` are keys of the step's own files. */
export type StepTree = Omit<TreeNeed, "id" | "location" | "title">;

/** What one step needs from outside, by keys of its own choosing. */
export interface StepNeeds {
  readonly bases?: Readonly<Record<string, StepBase>> | undefined;
  readonly trees?: Readonly<Record<string, StepTree>> | undefined;
  /** Small files whose text the step reads. */
  readonly files?:
    | Readonly<Record<string, Pick<FileNeed, "path"> & Partial<Pick<FileNeed, "optional">>>>
    | undefined;
  readonly listings?: Readonly<Record<string, Pick<ListingNeed, "path" | "patterns">>> | undefined;
  /** Secrets beside those of the step's options; `registry` ones never reach a command. */
  readonly registrySecrets?: Readonly<Record<string, Secret>> | undefined;
  /** Other chains whose files the step uses. */
  readonly images?: Readonly<Record<string, Chain>> | undefined;
  /** The step calls `context.dockerfile`: mirrors that are OCI layouts must be at hand. Default false. */
  readonly dockerfile?: boolean | undefined;
}

/** What a step's `needs` may look at: files that were found so far, to ask for what they name. */
export interface NeedsContext {
  readonly builder: BuilderVersion;
  /** Content of one of the step's files; `undefined` while it was not read yet, or if it is not there. */
  file(key: string): Uint8Array | undefined;
  /** What one of the step's listings found; `undefined` while nobody looked. */
  listing(key: string): readonly string[] | undefined;
}

/** How a step is written. `Input` is what its caller passes, `Args` what validation makes of it. */
export interface StepDefinition<Input, Args> {
  /** Stable name, shown in progress, plans and errors; built-in steps are named like their method. */
  readonly id: string;
  /** Counts up when the same arguments begin to mean something else. */
  readonly version: number;
  /**
   * Checks the input and brings it into one form: plain data, which snapshots print. Runs at the user's call:
   * throws `KilnError` for what is wrong (`argumentError` adds the place). No I/O.
   */
  readonly validate: (input: Input) => Args;
  /** One line for people, e.g. `aptInstall git curl`; the option `name` takes its place. */
  readonly title: (args: Args) => string;
  /** The common options of a step that runs commands: every command gets their environment, secrets and device. */
  readonly options?: ((args: Args) => CheckedStepOptions) | undefined;
  /**
   * Bases, trees, files and chains of the step; default none. Pure. Called again once files or listings that it asked
   * for are there, so that it can ask for what they name. A `KilnError` gets the place of the step's call.
   */
  readonly needs?: ((args: Args, context: NeedsContext) => StepNeeds) | undefined;
  /**
   * Adds the step to the chain: ops, config and history. Pure: facts come from `context`. A `KilnError` gets the place
   * of the step's call.
   */
  readonly lower: (chain: ChainState, args: Args, context: LowerContext) => ChainState;
  /** What lint looks at: packages, references, commands. Default nothing. */
  readonly traits?: ((args: Args, context: { readonly builder: BuilderVersion }) => StepTraits) | undefined;
  /** The arguments with another reference for the base that `traits` name: how lint pins it. Default: it cannot. */
  readonly withBaseRef?: ((args: Args, ref: string) => Args) | undefined;
  /** The layers that Modal's builder would make of the step; without it, `toModalLayers` refuses the step. */
  readonly modal?: ((args: Args, context: ModalContext) => readonly ModalLayer[]) | undefined;
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
  /** What validation made of the input. */
  readonly args: unknown;
  /** The step's common options; `undefined` for a step that runs nothing. */
  readonly options: CheckedStepOptions | undefined;
  readonly needs: (context: NeedsContext) => StepNeeds;
  readonly lower: (chain: ChainState, context: LowerContext) => ChainState;
  readonly traits: (context: { readonly builder: BuilderVersion }) => StepTraits;
  /** The step with another reference for its base; `undefined` for one whose reference is not its user's. */
  readonly withBaseRef: ((ref: string) => AppliedStep) | undefined;
  /** `undefined` for a step that Modal does not have. */
  readonly modal: ((context: ModalContext) => readonly ModalLayer[]) | undefined;
}

/**
 * Defines a step of image chains.
 *
 * Every built-in step is made by this function; a step of yours appears in plans, progress, lint, snapshots and errors
 * like them. Use it with `image.step(myStep, input)`.
 */
export function defineStep<Input, Args>(definition: StepDefinition<Input, Args>): Step<Input> {
  const { id, version } = definition;
  return { id, version, apply: (input, location) => bind(definition, definition.validate(input), location) };
}

function bind<Args>(
  definition: StepDefinition<never, Args>,
  args: Args,
  location: CallSite | undefined,
): AppliedStep {
  const { id, version, modal, withBaseRef } = definition;
  const options = definition.options?.(args);
  return {
    id,
    version,
    title: options?.name ?? definition.title(args),
    location,
    args,
    options,
    needs: (context) => at(location, () => definition.needs?.(args, context) ?? {}),
    lower: (chain, context) => at(location, () => definition.lower(chain, args, context)),
    traits: (context) => definition.traits?.(args, context) ?? {},
    withBaseRef:
      withBaseRef === undefined ? undefined : (ref) => bind(definition, withBaseRef(args, ref), location),
    modal: modal === undefined ? undefined : (context) => at(location, () => modal(args, context)),
  };
}

/** Runs what a build asks of a step: its errors are about the call that made the step, wherever the build is. */
function at<T>(location: CallSite | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof KilnError) || error.location !== undefined) throw error;
    const { code, message, hint, cause } = error;
    throw new KilnError(code, message, { hint, location, cause });
  }
}
