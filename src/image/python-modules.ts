import { posix } from "node:path";
import { KilnError } from "../errors.js";

/** Where the image's Python imports local modules from. */
export const pythonSourceRoot = "/root";

/** A local module as it was found: a package's directory or a file, and where it goes. */
export interface FoundModule {
  readonly kind: "dir" | "file";
  /** On this machine. */
  readonly path: string;
  /** In the image. */
  readonly target: string;
}

/** Patterns of the files by which a module is found in a directory. */
export function modulePatterns(module: string): readonly string[] {
  const path = module.replaceAll(".", "/");
  return [`${path}.py`, `${path}/**/*.py`, `${path}/**/*.so`];
}

/**
 * Finds a module as Python does: the first of `searchPaths` that has a package or a file of that name, else the directories
 * of that name with Python in them (a namespace package).
 *
 * `listed` are the files that each search path has of {@link modulePatterns}. Throws `ERR_KILN_FILE_NOT_FOUND` with all
 * places that were tried, and `ERR_KILN_UNSUPPORTED` for a package with compiled modules, unless `withCompiled`.
 */
export function findModule(
  module: string,
  searchPaths: readonly string[],
  {
    listed,
    withCompiled,
  }: {
    readonly listed: (searchPath: string) => readonly string[];
    readonly withCompiled: boolean;
  },
): readonly FoundModule[] {
  const name = module.replaceAll(".", "/");
  const target = posix.join(pythonSourceRoot, name);
  const portions: FoundModule[] = [];
  for (const searchPath of searchPaths) {
    const files = listed(searchPath).filter(isSource);
    const dir: FoundModule = { kind: "dir", path: posix.join(searchPath, name), target };
    const isPackage = files.includes(`${name}/__init__.py`);
    if (isPackage || files.some((file) => file.startsWith(`${name}/`) && file.endsWith(".py"))) {
      const compiled = files.find((file) => file.endsWith(".so"));
      if (compiled !== undefined && !withCompiled)
        throw compiledModule(module, posix.join(searchPath, compiled));
    }
    if (isPackage) return [dir];
    if (files.includes(`${name}.py`)) {
      return [{ kind: "file", path: posix.join(searchPath, `${name}.py`), target: `${target}.py` }];
    }
    if (files.some((file) => file.endsWith(".py"))) portions.push(dir);
  }
  if (portions.length > 0) return portions;
  throw notFound(module, searchPaths);
}

/** The error for a module that is in none of the search paths. */
export function notFound(module: string, searchPaths: readonly string[]): KilnError {
  const name = module.replaceAll(".", "/");
  const tried = searchPaths.flatMap((path) =>
    [`${name}/__init__.py`, `${name}.py`, `${name}/`].map(
      (each) => `${path === "." ? "" : `${path}/`}${each}`,
    ),
  );
  return new KilnError(
    "ERR_KILN_FILE_NOT_FOUND",
    `no local Python module ${module}: tried ${tried.join(", ")}`,
    {
      hint: "Paths are relative to the build's working directory; searchPaths names the directories that hold modules.",
    },
  );
}

function compiledModule(module: string, path: string): KilnError {
  return new KilnError("ERR_KILN_UNSUPPORTED", `the Python module ${module} has a compiled part: ${path}`, {
    hint: "Install a wheel of it in the image, or take all files as they are with ignore: [].",
  });
}

function isSource(path: string): boolean {
  return !path.split("/").some((part) => part.startsWith(".") || part === "__pycache__");
}
