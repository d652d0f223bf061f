/** What kind of thing goes into a step. */
export type StepInputKind =
  /** An argument of the step's call. */
  | "argument"
  /** A variable that the step's commands get. */
  | "env"
  /** A base image: its name as written, and the digest that it stood for. */
  | "base"
  /** The content of a local file that the step reads (requirements, a lock, a Dockerfile, an ignore file). */
  | "file"
  /** A local tree that enters the image. */
  | "tree"
  /** Paths that a pattern found. */
  | "listing"
  /** A secret: where it comes from, and its version where that counts. */
  | "secret"
  /** What of the build counts for the step: platform, builder version, copied files' time. */
  | "setting"
  /** A device that the step's commands run with. */
  | "device";

/** One thing that goes into a step, in the form in which two builds are compared. */
export interface StepInput {
  readonly kind: StepInputKind;
  /** What it is among those of its kind, e.g. `packages`, `env.PATH`, `python:3.13-slim`, `./src`. Unique in its kind. */
  readonly name: string;
  /** The value as text that may be shown; a digest where it is large or not to be shown. Never a secret's value. */
  readonly value: string;
  /** Items of a value that is a list, e.g. packages. */
  readonly items?: readonly string[] | undefined;
  /** Digest under which the index has the value whole: a tree's manifest, a file's content. */
  readonly stored?: string | undefined;
}

/**
 * What a step is to a daemon: `config` = nothing, it says something of the finished image (a label, a command);
 * `settings` = nothing, but commands after it run with what it sets (environment, directory, shell, user); `source` = it
 * brings a base in; `copy` = it copies files; `run` = it runs commands.
 */
export type StepEffect = "config" | "settings" | "source" | "copy" | "run";

/** A step of a chain as it is compared with that of another build. */
export interface StepFingerprint {
  readonly index: number;
  /** The step definition's id, e.g. `runCommands`, and its version. */
  readonly id: string;
  readonly version: number;
  readonly title: string;
  /** Digest over the step and all its inputs; not over the steps before it. */
  readonly own: string;
  /** Digest over {@link own} of this step and all before it. */
  readonly chain: string;
  readonly inputs: readonly StepInput[];
  /** Default: `run`. */
  readonly effect?: StepEffect | undefined;
  /**
   * Digest over what the step asks of the daemon, whatever files it starts from. Unlike {@link own}, what makes no
   * difference there is no part of it: a title, the path of a local tree. `undefined` = it asks for nothing.
   */
  readonly work?: string | undefined;
  /**
   * Digests over each op of the step and all that it starts from. A daemon that has made files with such a digest need not
   * make them again, whichever chain it made them for. Empty = the step makes none.
   */
  readonly results?: readonly string[] | undefined;
}
