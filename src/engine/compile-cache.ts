import * as nodeModule from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { cacheDirectory } from "../internal/cache-directory.js";

/**
 * Has Node keep what it compiles of this package's code, for the next process to start sooner. For programs: a library
 * does not decide that.
 *
 * Does nothing where Node cannot (before 22.1), where {@link compileCacheDirectory} says so, and where the directory
 * cannot be written.
 */
export function enableCompileCache(env: Readonly<Record<string, string | undefined>>): void {
  // Later than the oldest Node that is supported, whose types these are.
  const enable: unknown = Reflect.get(nodeModule, "enableCompileCache");
  if (typeof enable !== "function") return;
  const directory = compileCacheDirectory(env, homedir());
  if (directory !== undefined) enable(directory);
}

/**
 * `v8` in Kiln's cache directory; `undefined` under `KILN_CACHE=off`, and where Node was told itself
 * (`NODE_COMPILE_CACHE`, `NODE_DISABLE_COMPILE_CACHE`).
 */
export function compileCacheDirectory(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): string | undefined {
  const decided = [env["NODE_COMPILE_CACHE"], env["NODE_DISABLE_COMPILE_CACHE"]];
  if (env["KILN_CACHE"] === "off" || decided.some((value) => value !== undefined)) return undefined;
  try {
    return join(cacheDirectory(env, home), "v8");
  } catch {
    // A wrong KILN_CACHE_DIR is reported by what needs it.
    return undefined;
  }
}
