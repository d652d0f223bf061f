import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute } from "node:path";
import { shareDirectory } from "../internal/data-directory.js";
import { setupError } from "./setup-error.js";

/**
 * The folder where Kiln keeps an engine of the user's: `$XDG_DATA_HOME/kiln`, else `~/.local/share/kiln`.
 *
 * A relative `XDG_DATA_HOME` is ignored, as the XDG base directory specification asks.
 */
export function defaultPrefix(env: NodeJS.ProcessEnv = process.env): string {
  return shareDirectory(env, homedir());
}

/** Throws `ERR_KILN_ENGINE_SETUP` unless `prefix` is absolute and free of characters that break daemons' settings. */
export function checkPrefix(prefix: string): void {
  if (isAbsolute(prefix) && /^[\w./+@%=~-]+$/.test(prefix)) return;
  throw setupError(
    `${JSON.stringify(prefix)} cannot be the engine's folder`,
    "Choose an absolute path without spaces, colons, commas or quotes.",
  );
}

/** Writes a file so that readers see the former content or the whole new one, never a part. */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const scratch = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(scratch, content, { mode });
    await rename(scratch, path);
  } finally {
    await rm(scratch, { force: true });
  }
}
