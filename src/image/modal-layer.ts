import type { BuilderVersion } from "./builder-version.js";

/** One layer as Modal's builder makes it: the commands of one container. */
export interface ModalLayer {
  /** Lines of Modal's Dockerfile dialect, beginning with `FROM`. */
  readonly commands: readonly string[];
  /** Local files that the commands copy: path in the context to path on this machine, as the chain has it. */
  readonly contextFiles: Readonly<Record<string, string>>;
}

/** What a step's `modal` may look at. */
export interface ModalContext {
  readonly builder: BuilderVersion;
  /**
   * Content of a local file; `undefined` = there is none.
   *
   * Throws `ERR_KILN_READER_NEEDED` if `toModalLayers` was given no `readFile`.
   */
  file(path: string): string | undefined;
}

/** A layer on top of the one before it. */
export function modalLayer(
  commands: readonly string[],
  contextFiles: Readonly<Record<string, string>> = {},
): ModalLayer {
  return { commands: ["FROM base", ...commands], contextFiles };
}
