import { checkOptions } from "../internal/check-options.js";
import {
  checkFlag,
  checkInteger,
  checkName,
  checkText,
  checkTexts,
  wrongArgument,
} from "./check-argument.js";
import { type FileOwner, type OwnerNode, ownerKeys, resolveOwner, resolveTime } from "./file-owner.js";
import { type HasStateProps, inputOf, propsOf, type StateProps, stateProps } from "./state-props.js";

/** Options of `mkdir`. */
export interface MkdirOptions extends FileOwner {
  /** Permission bits; only the lowest nine count. Default `0o755`. */
  readonly mode?: number | undefined;
  /** Make missing parents and accept a directory that exists. */
  readonly makeParents?: boolean | undefined;
}

/** Options of `mkfile`. */
export interface MkfileOptions extends FileOwner {
  /** Permission bits; only the lowest nine count. Default `0o644`. */
  readonly mode?: number | undefined;
}

/** Options of `symlink`. Needs BuildKit 0.19. */
export interface SymlinkOptions extends FileOwner {}

/** Options of `rm`. */
export interface RmOptions {
  readonly allowNotFound?: boolean | undefined;
  /** The path may hold wildcards. */
  readonly allowWildcard?: boolean | undefined;
}

/** Options of `copy`: from where to where within the two filesystems, and how. */
export interface CopyOptions extends FileOwner {
  /** Path in the source; a relative one starts at the source's working directory. */
  readonly src: string;
  /** Path in the target; a trailing slash means "into this directory". */
  readonly dest: string;
  /** Permission bits as a number, or as text that `chmod` would take (needs BuildKit 0.17). Default: kept. */
  readonly mode?: number | string | undefined;
  readonly followSymlinks?: boolean | undefined;
  /** Copy what is in the directory `src`, not the directory itself. */
  readonly copyDirContentsOnly?: boolean | undefined;
  readonly includePatterns?: readonly string[] | undefined;
  readonly excludePatterns?: readonly string[] | undefined;
  /** Paths that must be among what is copied. Needs BuildKit 0.26. */
  readonly requiredPaths?: readonly string[] | undefined;
  /** Unpack `src` if it is an archive, as a Dockerfile's ADD does. */
  readonly attemptUnpack?: boolean | undefined;
  readonly createDestPath?: boolean | undefined;
  /** `src` may hold wildcards. */
  readonly allowWildcard?: boolean | undefined;
  /** Wildcards that match nothing are no error. */
  readonly allowEmptyWildcard?: boolean | undefined;
  /** Replace what is there even if it is of another type. Needs BuildKit 0.14. */
  readonly alwaysReplaceExistingDestPaths?: boolean | undefined;
}

/** One checked file operation. */
export type FileActionNode =
  | { readonly kind: "mkdir"; readonly path: string; readonly mode: number; readonly makeParents: boolean }
  | { readonly kind: "mkfile"; readonly path: string; readonly mode: number; readonly data: Uint8Array }
  | { readonly kind: "symlink"; readonly oldPath: string; readonly newPath: string }
  | ({ readonly kind: "rm"; readonly path: string } & Required<{ [K in keyof RmOptions]: boolean }>)
  | { readonly kind: "copy"; readonly source: StateProps | BoundActions; readonly options: CopyOptions };

/** A file operation with owner and time of what it makes. */
export interface FileStep {
  readonly action: FileActionNode;
  readonly owner: OwnerNode | undefined;
  /** Nanoseconds since 1970; `undefined` = the daemon's choice. */
  readonly createdTime: bigint | undefined;
}

/** File operations together with the state that they start from. */
export interface BoundActions {
  readonly base: StateProps;
  readonly last: FileAction;
}

const boundActions: unique symbol = Symbol("llb.bound-actions");

/** The result of file operations that are part of the same op, as the source of a copy. */
export interface FileActionWithState {
  readonly [boundActions]: BoundActions;
}

/** What a copy can read from. */
export type CopyInput = HasStateProps | FileActionWithState;

/**
 * File operations that become one op: `mkdir("/a").mkfile("/a/b", "text")`. Immutable; every method returns a new
 * value with one operation more. `State.file` carries them out.
 *
 * Every method throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export class FileAction {
  readonly #previous: FileAction | undefined;
  readonly #step: FileStep;

  /** For the functions of this file: they check what they pass. */
  constructor(previous: FileAction | undefined, step: FileStep) {
    this.#previous = previous;
    this.#step = Object.freeze(step);
  }

  /** Makes a directory. A relative path starts at the state's working directory. */
  mkdir(path: string, options: MkdirOptions = {}): FileAction {
    const call = "mkdir()";
    checkOptions(call, options, ["mode", "makeParents", ...ownerKeys]);
    checkName(call, "path", path);
    const mode = permissions(call, options.mode, 0o755);
    const makeParents = checkFlag(call, "makeParents", options.makeParents);
    return this.#add(call, { kind: "mkdir", path, mode, makeParents }, options);
  }

  /** Makes a file with the given content. */
  mkfile(path: string, data: string | Uint8Array, options: MkfileOptions = {}): FileAction {
    const call = "mkfile()";
    checkOptions(call, options, ["mode", ...ownerKeys]);
    checkName(call, "path", path);
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    if (!(bytes instanceof Uint8Array)) {
      throw wrongArgument(call, "data must be a string or bytes", "Pass the content of the file.");
    }
    const mode = permissions(call, options.mode, 0o644);
    return this.#add(call, { kind: "mkfile", path, mode, data: Uint8Array.from(bytes) }, options);
  }

  /** Makes a symbolic link at `newPath` that points to `oldPath`. Both are sent as they are. */
  symlink(oldPath: string, newPath: string, options: SymlinkOptions = {}): FileAction {
    const call = "symlink()";
    checkOptions(call, options, ownerKeys);
    checkName(call, "oldPath", oldPath);
    checkName(call, "newPath", newPath);
    return this.#add(call, { kind: "symlink", oldPath, newPath }, options);
  }

  /** Removes a file or a directory with all that is in it. */
  rm(path: string, options: RmOptions = {}): FileAction {
    const call = "rm()";
    checkOptions(call, options, ["allowNotFound", "allowWildcard"]);
    checkName(call, "path", path);
    const allowNotFound = checkFlag(call, "allowNotFound", options.allowNotFound);
    const allowWildcard = checkFlag(call, "allowWildcard", options.allowWildcard);
    return this.#add(call, { kind: "rm", path, allowNotFound, allowWildcard }, {});
  }

  /** Copies files from another state, or from what other operations of the same op make (`withState`). */
  copy(input: CopyInput, options: CopyOptions): FileAction {
    const call = "copy()";
    return this.#add(call, { kind: "copy", ...resolveCopy(call, input, options) }, options);
  }

  /** These operations on a state of their own, as a source to copy from. */
  withState(state: HasStateProps): FileActionWithState {
    const base = propsOf("withState()", "state", state);
    inputOf("withState()", "state", state);
    return Object.freeze({ [boundActions]: Object.freeze({ base, last: this }) });
  }

  /** All operations in the order of the calls. */
  steps(): readonly FileStep[] {
    const steps: FileStep[] = [];
    for (let node: FileAction | undefined = this; node !== undefined; node = node.#previous) {
      if (node !== start) steps.push(node.#step);
    }
    return steps.reverse();
  }

  #add(call: string, action: FileActionNode, options: FileOwner): FileAction {
    const owner = resolveOwner(call, options);
    return new FileAction(this, { action, owner, createdTime: resolveTime(call, options) });
  }
}

// What every chain begins with; not an operation itself.
const start: FileAction = new FileAction(undefined, {
  action: { kind: "rm", path: "", allowNotFound: false, allowWildcard: false },
  owner: undefined,
  createdTime: undefined,
});

/** Makes a directory; see {@link FileAction.mkdir}. */
export function mkdir(path: string, options?: MkdirOptions): FileAction {
  return start.mkdir(path, options);
}

/** Makes a file; see {@link FileAction.mkfile}. */
export function mkfile(path: string, data: string | Uint8Array, options?: MkfileOptions): FileAction {
  return start.mkfile(path, data, options);
}

/** Makes a symbolic link; see {@link FileAction.symlink}. */
export function symlink(oldPath: string, newPath: string, options?: SymlinkOptions): FileAction {
  return start.symlink(oldPath, newPath, options);
}

/** Removes a file or directory; see {@link FileAction.rm}. */
export function rm(path: string, options?: RmOptions): FileAction {
  return start.rm(path, options);
}

/** Copies files; see {@link FileAction.copy}. */
export function copy(input: CopyInput, options: CopyOptions): FileAction {
  return start.copy(input, options);
}

function permissions(call: string, mode: unknown, fallback: number): number {
  return mode === undefined ? fallback : checkInteger(call, "mode", mode, 0, 0xffffffff) & 0o777;
}

const copyFlags = [
  ...(["followSymlinks", "copyDirContentsOnly", "attemptUnpack", "createDestPath", "allowWildcard"] as const),
  ...(["allowEmptyWildcard", "alwaysReplaceExistingDestPaths"] as const),
];
const copyLists = ["includePatterns", "excludePatterns", "requiredPaths"] as const;

function resolveCopy(
  call: string,
  input: unknown,
  options: CopyOptions,
): { readonly source: StateProps | BoundActions; readonly options: CopyOptions } {
  checkOptions(call, options, ["src", "dest", "mode", ...copyFlags, ...copyLists, ...ownerKeys]);
  if (options === undefined) {
    throw wrongArgument(call, "src and dest are missing", 'Write copy(state, { src: "/a", dest: "/b" }).');
  }
  checkText(call, "src", options.src);
  checkText(call, "dest", options.dest);
  if (typeof options.mode === "string") checkText(call, "mode", options.mode);
  else if (options.mode !== undefined) checkInteger(call, "mode", options.mode, 0, 0xffffffff);
  for (const key of copyFlags) checkFlag(call, key, options[key]);
  const lists: { [Key in (typeof copyLists)[number]]?: readonly string[] } = {};
  for (const key of copyLists) {
    const value = options[key];
    if (value !== undefined) lists[key] = checkTexts(call, key, value);
  }
  return { source: resolveSource(call, input), options: Object.freeze({ ...options, ...lists }) };
}

function resolveSource(call: string, input: unknown): StateProps | BoundActions {
  if (typeof input === "object" && input !== null && boundActions in input) {
    return (input as FileActionWithState)[boundActions];
  }
  inputOf(call, "input", input);
  return (input as HasStateProps)[stateProps];
}
