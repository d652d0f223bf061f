/** A package that a step installs, as its user wrote it. */
export interface PackageTrait {
  /** Whose package it is. */
  readonly manager: "apt" | "pip" | "conda" | "npm";
  /** E.g. `torch<3`, `git=1:2.39.*`, `left-pad@1.3.0`. */
  readonly spec: string;
}

/** A shell command that a step runs, or a line of a Dockerfile. */
export interface CommandTrait {
  readonly kind: "shell" | "dockerfile";
  readonly text: string;
}

/** What lint looks at in a step. All of it is as the user wrote it. */
export interface StepTraits {
  readonly packages?: readonly PackageTrait[] | undefined;
  /** Reference of a base image. */
  readonly baseRef?: string | undefined;
  readonly commands?: readonly CommandTrait[] | undefined;
  /** Variables that stay in the image. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Variables that commands get, and that are in the definition, not in the image. */
  readonly buildEnv?: Readonly<Record<string, string>> | undefined;
  /** Addresses that the step uses: indexes, repositories. */
  readonly urls?: readonly string[] | undefined;
  /**
   * How often the step's result changes: `local` = with files of the user's, `install` = it fetches and takes its time,
   * `cheap` = it makes no layer or next to none. Default: `cheap` for a step that runs nothing, else `install`.
   */
  readonly changes?: "local" | "install" | "cheap" | undefined;
  /** How many layers the step makes; default one for a step that is not `cheap`. */
  readonly layers?: number | undefined;
  /** Files and directories in the image that the step writes, and nothing else; default: it may write anywhere. */
  readonly writes?: readonly string[] | undefined;
}
