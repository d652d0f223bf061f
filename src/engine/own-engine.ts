import { isAbsolute, join } from "node:path";

/**
 * Address of the private engine that `kiln engine up` starts with its default folder (`src/provision` keeps
 * it there), so that builds find it without being told.
 */
export function ownEngineAddress(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const data = env["XDG_DATA_HOME"];
  const share = data !== undefined && isAbsolute(data) ? data : join(home, ".local", "share");
  return `docker://${join(share, "kiln", "engines", "modern", "docker.sock")}`;
}
