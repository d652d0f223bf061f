import { posix } from "node:path";
import { checkOptions } from "../../internal/check-options.js";
import { argumentError, checkLocalPath, checkRemotePath, describe } from "../check-args.js";
import { checkIgnore } from "../check-ignore.js";
import { defineStep, type Step } from "../define-step.js";
import type { FilePatternMatcher } from "../file-pattern-matcher.js";
import { modalLayer } from "../modal-layer.js";

/** Options of `addLocalFile`. */
export interface AddLocalFileOptions {
  /** Must be true: the file becomes a layer of the image. (Adding files when a container starts is not there yet.) */
  readonly copy: true;
  /** `"keep"` keeps file times; by default each is `SOURCE_DATE_EPOCH`, or 1980-01-01T00:00:02Z. */
  readonly mtime?: "keep" | undefined;
  /** `"normalize"` makes modes 0755 (directories, executables) and 0644; by default each file keeps its own. */
  readonly mode?: "normalize" | undefined;
}

/** Options of `addLocalDir`. */
export interface AddLocalDirOptions extends AddLocalFileOptions {
  /** What to leave out: patterns with `.dockerignore` semantics, relative to the directory. Default nothing. */
  readonly ignore?: string | readonly string[] | FilePatternMatcher | undefined;
}

/** Input of the `addLocalFile` and `addLocalDir` steps. */
export interface AddLocalInput<Options> {
  readonly localPath: string;
  readonly remotePath: string;
  readonly options: Options | undefined;
}

interface AddLocalArgs {
  readonly localPath: string;
  readonly remotePath: string;
  readonly keepMtime: boolean;
  readonly mode: "own" | "normalize";
  readonly ignore: readonly string[];
  readonly ignoreFile: string | undefined;
}

/** Copies one local file into the image; a trailing `/` of the target means "under its own name". */
export const addLocalFile: Step<AddLocalInput<AddLocalFileOptions>> = defineStep({
  id: "addLocalFile",
  version: 1,
  validate(input: AddLocalInput<AddLocalFileOptions>): AddLocalArgs {
    const args = checkInput("addLocalFile", input, []);
    const target = args.remotePath.endsWith("/")
      ? posix.join(args.remotePath, posix.basename(args.localPath))
      : args.remotePath;
    return { ...args, remotePath: target };
  },
  title: ({ localPath, remotePath }) => `addLocalFile ${localPath} → ${remotePath}`,
  needs: ({ localPath, mode, keepMtime }) => ({
    trees: {
      source: {
        kind: "file",
        path: localPath,
        ignore: [],
        ignoreFiles: [],
        mode,
        times: keepMtime ? "keep" : undefined,
      },
    },
  }),
  lower: (chain, { remotePath, keepMtime }, context) =>
    context.copyTree(chain, {
      tree: "source",
      from: "/file",
      to: remotePath,
      contents: false,
      keepMtime,
    }),
  traits: ({ remotePath }) => ({ changes: "local", writes: [remotePath] }),
  modal: ({ localPath, remotePath }) => [modalLayer(["COPY . /"], { [remotePath]: localPath })],
});

/** Copies the contents of a local directory into a directory of the image, which is made if need be. */
export const addLocalDir: Step<AddLocalInput<AddLocalDirOptions>> = defineStep({
  id: "addLocalDir",
  version: 1,
  validate: (input: AddLocalInput<AddLocalDirOptions>): AddLocalArgs =>
    checkInput("addLocalDir", input, ["ignore"]),
  title: ({ localPath, remotePath }) => `addLocalDir ${localPath} → ${remotePath}`,
  needs: ({ localPath, ignore, ignoreFile, mode, keepMtime }) => ({
    trees: {
      source: {
        kind: "dir",
        path: localPath,
        ignore,
        ignoreFiles: ignoreFile === undefined ? [] : ["ignore"],
        mode,
        times: keepMtime ? "keep" : undefined,
      },
    },
    ...(ignoreFile === undefined ? {} : { files: { ignore: { path: ignoreFile } } }),
  }),
  lower: (chain, { remotePath, keepMtime }, context) =>
    context.copyTree(chain, {
      tree: "source",
      from: "/",
      to: remotePath,
      contents: true,
      keepMtime,
    }),
  traits: ({ remotePath }) => ({ changes: "local", writes: [remotePath] }),
  modal: ({ localPath, remotePath }) => [
    modalLayer(["COPY . /"], { [`${remotePath.replace(/\/$/, "")}/**`]: localPath }),
  ],
});

function checkInput(call: string, input: AddLocalInput<unknown>, extraKeys: readonly string[]): AddLocalArgs {
  const localPath = checkLocalPath(call, input.localPath);
  const remotePath = checkRemotePath(call, input.remotePath);
  checkOptions(call, input.options, ["copy", "mtime", "mode", ...extraKeys]);
  const options = (input.options ?? {}) as Partial<Record<keyof AddLocalDirOptions, unknown>>;
  if (options.copy !== true) {
    throw argumentError(
      call,
      "files can only be copied into the image so far, not added when a container starts",
      {
        code: "ERR_KILN_COPY_REQUIRED",
        hint: `Add copy: true, i.e. ${call}(${JSON.stringify(localPath)}, ${JSON.stringify(remotePath)}, { copy: true }).`,
      },
    );
  }
  if (options.mtime !== undefined && options.mtime !== "keep") {
    throw argumentError(call, `mtime must be "keep" or left out, got ${describe(options.mtime)}`, {
      hint: 'Write mtime: "keep" for the times on this machine.',
    });
  }
  if (options.mode !== undefined && options.mode !== "normalize") {
    throw argumentError(call, `mode must be "normalize" or left out, got ${describe(options.mode)}`, {
      hint: 'Write mode: "normalize" for 0755 and 0644; for others chmod in a runCommands after it.',
    });
  }
  return {
    localPath,
    remotePath,
    keepMtime: options.mtime === "keep",
    mode: options.mode ?? "own",
    ...checkIgnore(call, options.ignore),
  };
}
