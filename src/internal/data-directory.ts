import { isAbsolute, join } from "node:path";
import { KilnError } from "../errors.js";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where programs of this user's keep what must not be lost, with Kiln's name: `$XDG_DATA_HOME/kiln`, else
 * `~/.local/share/kiln`. A relative `XDG_DATA_HOME` is ignored, as the XDG base directory specification asks.
 */
export function shareDirectory(env: Environment, home: string): string {
  const data = env["XDG_DATA_HOME"];
  return join(data !== undefined && isAbsolute(data) ? data : join(home, ".local", "share"), "kiln");
}

/**
 * Kiln's data directory: `$KILN_DATA_DIR`, else {@link shareDirectory}. What is in it is nobody's cache.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a relative `KILN_DATA_DIR`: it would be another directory for each caller.
 */
export function dataDirectory(env: Environment, home: string): string {
  const own = env["KILN_DATA_DIR"];
  if (own === undefined || own === "") return shareDirectory(env, home);
  if (isAbsolute(own)) return own;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `KILN_DATA_DIR is not absolute: ${JSON.stringify(own)}`, {
    hint: "Set it to an absolute path, or unset it.",
  });
}
