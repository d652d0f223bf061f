import type { BoundActions, CopyOptions, FileActionNode } from "./file-action.js";
import { type FileNode, isBound, type PlacedStep, placeSteps } from "./file-node.js";
import { ownerFields } from "./file-owner.js";
import { cleanPath, isAbsolutePath, joinPath } from "./go-path.js";
import type { ResolveOutput } from "./lower-exec.js";
import type { ChownFields, FileActionFields, FileFields, InputFields } from "./op-fields.js";
import type { StateProps } from "./state-props.js";
import type { Output } from "./vertex.js";

/** The body of a file op and its inputs. */
export interface LoweredFile {
  readonly inputs: readonly InputFields[];
  readonly file: FileFields;
}

/** File operations as the protocol has them. */
export function lowerFile(node: FileNode, resolve: ResolveOutput): LoweredFile {
  const inputs: InputFields[] = [];
  const numbers = new Map<string, number>();
  const known = new Map<Output, number>();
  const visit = (output: Output): void => {
    if (known.has(output)) return;
    const input = resolve(output);
    const key = `${input.index} ${input.digest}`;
    const number = numbers.get(key) ?? inputs.push(input) - 1;
    numbers.set(key, number);
    known.set(output, number);
  };
  const numberOf = (props: StateProps): number =>
    props.output === undefined ? -1 : (known.get(props.output) ?? -1);
  const placed = placeSteps(node, visit);
  const actions = placed.map((step, position): FileActionFields => {
    const base = numberOf(step.base);
    const source = step.source;
    return {
      input: step.previous === undefined ? base : inputs.length + step.previous,
      secondaryInput:
        source === undefined ? -1 : typeof source === "number" ? inputs.length + source : numberOf(source),
      output: position === placed.length - 1 ? 0 : -1,
      action: lowerAction(step, base),
    };
  });
  return { inputs, file: { actions } };
}

function lowerAction(placed: PlacedStep, base: number): NonNullable<FileActionFields["action"]> {
  const { action, createdTime } = placed.step;
  const dir = placed.base.meta.container.dir;
  const owner = ownerFields(placed.step.owner, base);
  const timestamp = createdTime ?? -1;
  switch (action.kind) {
    case "mkdir": {
      const { mode, makeParents } = action;
      return {
        case: "mkdir",
        value: { path: resolvePath(dir, action.path, false), mode, makeParents, owner, timestamp },
      };
    }
    case "mkfile": {
      const { mode, data } = action;
      return {
        case: "mkfile",
        value: { path: resolvePath(dir, action.path, false), mode, data, owner, timestamp },
      };
    }
    case "symlink":
      return {
        case: "symlink",
        value: { oldpath: action.oldPath, newpath: action.newPath, owner, timestamp },
      };
    case "rm": {
      const { allowNotFound, allowWildcard } = action;
      return {
        case: "rm",
        value: { path: resolvePath(dir, action.path, false), allowNotFound, allowWildcard },
      };
    }
    case "copy":
      return { case: "copy", value: lowerCopy(action, dir, { owner, timestamp }) };
  }
}

function lowerCopy(
  { source, options }: Extract<FileActionNode, { kind: "copy" }>,
  dir: string,
  common: { readonly owner: ChownFields | undefined; readonly timestamp: number | bigint },
): Extract<NonNullable<FileActionFields["action"]>, { readonly case: "copy" }>["value"] {
  return {
    ...common,
    src: sourcePath(source, options.src),
    dest: resolvePath(dir, options.dest, true),
    ...copyMode(options.mode),
    followSymlink: options.followSymlinks,
    dirCopyContents: options.copyDirContentsOnly,
    attemptUnpackDockerCompatibility: options.attemptUnpack,
    createDestPath: options.createDestPath,
    allowWildcard: options.allowWildcard,
    allowEmptyWildcard: options.allowEmptyWildcard,
    includePatterns: options.includePatterns,
    excludePatterns: options.excludePatterns,
    alwaysReplaceExistingDestPaths: options.alwaysReplaceExistingDestPaths,
    requiredPaths: options.requiredPaths,
  };
}

function copyMode(mode: CopyOptions["mode"]): { readonly mode?: number; readonly modeStr?: string } {
  if (mode === undefined) return { mode: -1 };
  if (typeof mode === "number") return { mode: mode | 0 };
  return mode === "" ? { mode: 0 } : { modeStr: mode };
}

function sourcePath(source: StateProps | BoundActions, src: string): string {
  const path = cleanPath(src);
  if (isAbsolutePath(path)) return path;
  return joinPath((isBound(source) ? source.base : source).meta.container.dir, path);
}

/** An absolute, clean path. With `keepSlash` a trailing `/` or `/.`, which means something to a copy, stays. */
function resolvePath(dir: string, path: string, keepSlash: boolean): string {
  const clean = cleanPath(path);
  const absolute = isAbsolutePath(clean) ? clean : joinPath("/", dir, clean);
  if (!keepSlash) return absolute;
  if (path.endsWith("/") && !absolute.endsWith("/")) return `${absolute}/`;
  if (path.endsWith("/.")) return absolute === "/" ? "/." : `${absolute}/.`;
  return absolute;
}
