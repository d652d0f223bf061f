import { isAbsolute, join } from "node:path";
import { KilnError } from "../errors.js";

/**
 * Kiln's cache directory: `$KILN_CACHE_DIR`, else `$XDG_CACHE_HOME/kiln`, else `~/.cache/kiln`. Deleting it costs time
 * alone. A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification asks.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a relative `KILN_CACHE_DIR`: it would be another directory for each caller.
 */
export function cacheDirectory(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const own = env["KILN_CACHE_DIR"];
  if (own !== undefined && own !== "") {
    if (isAbsolute(own)) return own;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `KILN_CACHE_DIR is not absolute: ${JSON.stringify(own)}`,
      { hint: "Set it to an absolute path, or unset it." },
    );
  }
  const cache = env["XDG_CACHE_HOME"];
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(home, ".cache"), "kiln");
}
