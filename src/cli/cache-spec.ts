import type { BuildOptions } from "../engine/build.js";
import { cacheFromFields } from "../engine/command-line.js";
import { KilnError } from "../errors.js";
import { specMap, wrongFlag } from "./spec-fields.js";

const hint = "E.g. type=registry,ref=localhost:5000/app:cache,mode=max or type=local,dest=./cache.";

type CacheExports = NonNullable<BuildOptions["cacheExports"]>;
type CacheImports = NonNullable<BuildOptions["cacheImports"]>;

/**
 * Reads `--cache-to`: `type=…,key=value` as buildx takes it, or a registry reference alone. Throws
 * `ERR_KILN_INVALID_ARGUMENT` with what is allowed.
 */
export function parseCacheTo(text: string): CacheExports[number] {
  return named("--cache-to", () => cacheFromFields("export", fieldsOf("--cache-to", text)));
}

/** Reads `--cache-from`, as {@link parseCacheTo}. */
export function parseCacheFrom(text: string): CacheImports[number] {
  return named("--cache-from", () => cacheFromFields("import", fieldsOf("--cache-from", text)));
}

function fieldsOf(flag: string, text: string): ReadonlyMap<string, string> {
  return text.includes("=")
    ? specMap(flag, text, hint)
    : new Map([
        ["type", "registry"],
        ["ref", text],
      ]);
}

function named<T>(flag: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KilnError) || error.message.startsWith(flag)) throw error;
    throw wrongFlag(flag, error.message, error.hint ?? hint);
  }
}
