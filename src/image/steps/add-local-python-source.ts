import { posix } from "node:path";
import { checkOptions } from "../../internal/check-options.js";
import { envOf } from "../chain-state.js";
import { argumentError, describe, splitVariadic } from "../check-args.js";
import { type CheckedIgnore, checkIgnore } from "../check-ignore.js";
import { defineStep, type Step } from "../define-step.js";
import type { FilePatternMatcher } from "../file-pattern-matcher.js";
import { modalLayer } from "../modal-layer.js";
import {
  type FoundModule,
  findModule,
  modulePatterns,
  notFound,
  pythonSourceRoot,
} from "../python-modules.js";

/** Options of `addLocalPythonSource`. */
export interface AddLocalPythonSourceOptions {
  /** Must be true: the files become layers of the image. (Adding files when a container starts is not there yet.) */
  readonly copy: true;
  /**
   * What to leave out of packages, in place of the default: all that is no `.py` file, directories that begin with a dot,
   * and `__pycache__`.
   */
  readonly ignore?: string | readonly string[] | FilePatternMatcher | undefined;
  /** Directories that modules are looked for in, first first. Default: the build's working directory and `src`. */
  readonly searchPaths?: readonly string[] | undefined;
}

// A directory that an earlier pattern matches is not looked at by a later one, so what is in it has patterns of its own.
const notPython = ["**", "!**/*.py", "**/.*", "**/.*/**", "**/__pycache__/**"];

interface Args {
  readonly modules: readonly string[];
  readonly searchPaths: readonly string[];
  /** `undefined` = {@link notPython}. */
  readonly ignored: CheckedIgnore | undefined;
}

/** Copies local Python modules under a directory that the image's Python imports from. */
export const addLocalPythonSource: Step<readonly unknown[]> = defineStep({
  id: "addLocalPythonSource",
  version: 1,
  validate(input: readonly unknown[]): Args {
    const call = "addLocalPythonSource";
    const { items, options } = splitVariadic<AddLocalPythonSourceOptions>(call, input);
    checkOptions(call, options, ["copy", "ignore", "searchPaths"]);
    for (const item of items) checkModule(call, item);
    if (options?.copy !== true) {
      throw argumentError(
        call,
        "files can only be copied into the image so far, not added when a container starts",
        {
          code: "ERR_KILN_COPY_REQUIRED",
          hint: `Add copy: true, i.e. ${call}(${items.map((item) => JSON.stringify(item)).join(", ")}, { copy: true }).`,
        },
      );
    }
    return {
      modules: [...new Set(items)],
      searchPaths: checkSearchPaths(call, options.searchPaths),
      ignored: options.ignore === undefined ? undefined : checkIgnore(call, options.ignore),
    };
  },
  title: ({ modules }) => `addLocalPythonSource ${modules.join(" ")}`,
  needs(args, context) {
    const { modules, searchPaths, ignored } = args;
    const listings = Object.fromEntries(
      modules.flatMap((module) =>
        searchPaths.map(
          (path) => [listingKey(module, path), { path, patterns: modulePatterns(module) }] as const,
        ),
      ),
    );
    if (Object.keys(listings).some((key) => context.listing(key) === undefined)) return { listings };
    const ignoreFile = ignored?.ignoreFile;
    const filter = {
      ignore: ignored?.ignore ?? notPython,
      ignoreFiles: ignoreFile === undefined ? [] : ["ignore"],
    };
    const trees = found(args, (key) => context.listing(key)).map(({ kind, path }, index) => {
      const of = kind === "dir" ? filter : { ignore: [], ignoreFiles: [] };
      return [treeKey(index), { kind, path, mode: "own", ...of }] as const;
    });
    return {
      listings,
      trees: Object.fromEntries(trees),
      ...(ignoreFile === undefined ? {} : { files: { ignore: { path: ignoreFile } } }),
    };
  },
  lower(chain, args, context) {
    let next = chain;
    for (const [index, { kind, target }] of found(args, (key) => context.listing(key)).entries()) {
      const [from, contents] = kind === "dir" ? (["/", true] as const) : (["/file", false] as const);
      next = context.copyTree(next, { tree: treeKey(index), from, to: target, contents, keepMtime: false });
    }
    const paths = (envOf(chain.config).get("PYTHONPATH") ?? "").split(":").filter((path) => path !== "");
    if (paths.includes(pythonSourceRoot)) return next;
    const value = [pythonSourceRoot, ...paths].join(":");
    return context.configure(next, { kind: "env", entries: [["PYTHONPATH", value]], expand: false });
  },
  traits: ({ modules }) => ({
    changes: "local",
    layers: modules.length,
    env: { PYTHONPATH: pythonSourceRoot },
  }),
  modal({ modules, searchPaths }, context) {
    const files = modules.map((module) => {
      const name = module.replaceAll(".", "/");
      const target = posix.join(pythonSourceRoot, name);
      for (const searchPath of searchPaths) {
        const path = posix.join(searchPath, name);
        if (context.file(`${path}/__init__.py`) !== undefined) return [`${target}/**`, path] as const;
        if (context.file(`${path}.py`) !== undefined) return [`${target}.py`, `${path}.py`] as const;
      }
      throw notFound(module, searchPaths);
    });
    return [modalLayer(["COPY . /"], Object.fromEntries(files))];
  },
});

function found(
  { modules, searchPaths, ignored }: Args,
  listing: (key: string) => readonly string[] | undefined,
): readonly FoundModule[] {
  return modules.flatMap((module) =>
    findModule(module, searchPaths, {
      listed: (path) => listing(listingKey(module, path)) ?? [],
      withCompiled: ignored !== undefined,
    }),
  );
}

function listingKey(module: string, searchPath: string): string {
  return `${module} in ${searchPath}`;
}

function treeKey(index: number): string {
  return `source${index}`;
}

function checkModule(call: string, module: string): void {
  if (module.endsWith(".py")) {
    throw argumentError(call, `${JSON.stringify(module)} is a file, not the name of a module`, {
      hint: `Write ${JSON.stringify(posix.basename(module, ".py"))}, as in an import.`,
    });
  }
  if (/^[\p{ID_Start}_][\p{ID_Continue}]*(?:\.[\p{ID_Start}_][\p{ID_Continue}]*)*$/u.test(module)) return;
  throw argumentError(call, `${describe(module)} is no name of a Python module`, {
    hint: `Write it as in an import: ${call}("package.module", { copy: true }); searchPaths says where it is.`,
  });
}

function checkSearchPaths(call: string, paths: unknown): readonly string[] {
  if (paths === undefined) return [".", "src"];
  const isPath = (path: unknown): path is string =>
    typeof path === "string" && path !== "" && !path.includes("\0");
  if (Array.isArray(paths) && paths.length > 0 && paths.every(isPath)) return [...new Set(paths)];
  throw argumentError(call, `searchPaths must be a list of directories, got ${describe(paths)}`, {
    hint: 'Write searchPaths: [".", "src"].',
  });
}
