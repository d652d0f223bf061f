import { join } from "node:path";
import { shareDirectory } from "../internal/data-directory.js";

/**
 * Address of the private engine that `kiln engine up` starts with its default folder (`src/provision` keeps
 * it there), so that builds find it without being told.
 */
export function ownEngineAddress(env: Readonly<Record<string, string | undefined>>, home: string): string {
  return `docker://${join(shareDirectory(env, home), "engines", "modern", "docker.sock")}`;
}
