import type { ConstraintOptions } from "../llb/constraints.js";
import type { CacheSharing } from "../llb/exec-options.js";
import type { Platform } from "../oci/platform.js";
import type { BuilderVersion } from "./builder-version.js";
import type { ChainState } from "./chain-state.js";
import type { ConfigChange } from "./config-change.js";

/** A cache directory of one command, shared by all builds on the daemon that use its id. */
export interface CacheMount {
  readonly target: string;
  readonly id: string;
  readonly sharing: CacheSharing;
}

/** A small file that a command sees; nothing of it stays in the image. */
export interface FileMount {
  readonly target: string;
  readonly content: string | Uint8Array;
}

/** A directory of small files that a command sees; nothing of it stays in the image. */
export interface DirMount {
  readonly target: string;
  /** By relative path. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  /** The command may write there, for nobody to see. Default false. */
  readonly writable?: boolean | undefined;
}

/** Files of another image that a command sees, read-only. */
export interface ImageMount {
  readonly target: string;
  /** Key of one of the step's bases or images. */
  readonly image: string;
  /** Path in that image. */
  readonly from: string;
}

/** A local tree that a command sees, read-only. */
export interface TreeMount {
  readonly target: string;
  /** Key of one of the step's trees. */
  readonly tree: string;
  /** Path in the tree: `/file` for one of a single file. Default `/`. */
  readonly from?: string | undefined;
}

/** A command for {@link LowerContext.run}: a script for the chain's shell, or an argv. */
export type RunRequest = RunRequestParts &
  ({ readonly script: string } | { readonly argv: readonly string[] });

/** What a {@link RunRequest} has beside its command. */
export interface RunRequestParts {
  /** What errors and history show; default: the script, or the argv with quotes. */
  readonly command?: string | undefined;
  /** The op's name in progress; default: the step's title. */
  readonly title?: string | undefined;
  /** Environment of this command alone; that of the step's options comes after it and wins. */
  readonly env?: readonly (readonly [string, string])[] | undefined;
  /** Working directory of this command alone; default: the chain's. */
  readonly dir?: string | undefined;
  readonly caches?: readonly CacheMount[] | undefined;
  readonly files?: readonly FileMount[] | undefined;
  readonly dirs?: readonly DirMount[] | undefined;
  readonly images?: readonly ImageMount[] | undefined;
  readonly trees?: readonly TreeMount[] | undefined;
  /** Directories that are empty for the command, in memory. */
  readonly tmpfs?: readonly string[] | undefined;
}

/** A copy out of a local tree for {@link LowerContext.copyTree}. */
export interface CopyTreeRequest {
  /** Key of the tree in the step's needs. */
  readonly tree: string;
  /** Path in the tree. */
  readonly from: string;
  /** Path in the image. */
  readonly to: string;
  /** Copy what is in the directory `from`, not the directory itself. */
  readonly contents: boolean;
  /** Keep file times instead of setting all to one. */
  readonly keepMtime: boolean;
  readonly title?: string | undefined;
}

/** A copy out of another image for {@link LowerContext.copyImage}. Owners, modes and times are kept. */
export interface CopyImageRequest {
  /** Key of one of the step's images or bases. */
  readonly image: string;
  /** Path in that image; a directory brings its contents. */
  readonly from: string;
  /** Path in the chain's image. A trailing `/` puts a file into that directory under its own name. */
  readonly to: string;
  readonly title?: string | undefined;
}

/** Unpacks an archive into the image, by {@link LowerContext.copyArchive}. Its files become root's. */
export interface CopyArchiveRequest {
  /**
   * A tar, plain or compressed by gzip, bzip2, xz or zstd: one that the daemon downloads and checks, or a file of one of
   * the step's trees.
   */
  readonly archive:
    | { readonly url: string; readonly sha256: string }
    | { readonly tree: string; readonly path: string };
  /** Directory in the archive whose contents are taken. */
  readonly from: string;
  /** Directory in the image; files that are there already are replaced. */
  readonly to: string;
  readonly title?: string | undefined;
}

/** Asks the Dockerfile frontend of the daemon, by {@link LowerContext.dockerfile}. */
export interface DockerfileRequest {
  /** Names this question among those of the step. */
  readonly key: string;
  readonly text: string | Uint8Array;
  /** What errors call the file. Default `Dockerfile`. */
  readonly filename?: string | undefined;
  /** Key of the tree that COPY and ADD read; default: an empty one. */
  readonly context?: string | undefined;
  /** The stage to build; default the last. */
  readonly target?: string | undefined;
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** Stages and `FROM`s of this name are the chain so far, with its config. */
  readonly baseName?: string | undefined;
}

/** What a step's `lower` works with: facts about the outside, and helpers that add ops as all steps do. */
export interface LowerContext {
  readonly platform: Platform;
  readonly builder: BuilderVersion;
  /** The chain begun by one of the step's bases: its files, config and history. */
  base(key: string): ChainState;
  /** One of the step's other chains, compiled. */
  image(key: string): ChainState;
  /** Content of one of the step's files; `undefined` for one that is optional and not there. */
  file(key: string): Uint8Array | undefined;
  /** Paths that one of the step's listings found. */
  listing(key: string): readonly string[];
  /** Runs a command as root with the chain's environment and directory and the step's options; one layer. */
  run(chain: ChainState, request: RunRequest): ChainState;
  /** Copies files of a local tree into the image, as root's and with fixed times; one layer. */
  copyTree(chain: ChainState, request: CopyTreeRequest): ChainState;
  /** Copies files of another image; one layer. */
  copyImage(chain: ChainState, request: CopyImageRequest): ChainState;
  /** Unpacks an archive, without a program of the image's; one layer. */
  copyArchive(chain: ChainState, request: CopyArchiveRequest): ChainState;
  /** Changes the config, for later steps and containers; no layer. */
  configure(chain: ChainState, change: ConfigChange): ChainState;
  /** The chain as a Dockerfile makes it. */
  dockerfile(chain: ChainState, request: DockerfileRequest): ChainState;
  /** Constraints for ops that a step makes itself: they tie the op to the step in progress and errors. */
  constraints(title: string): ConstraintOptions;
}
