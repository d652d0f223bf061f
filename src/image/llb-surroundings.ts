import type { State } from "../llb/state.js";

/** A state with the environment and directory of an image's config. */
export function withSurroundings(state: State, env: readonly string[], dir: string | undefined): State {
  let next = state;
  for (const entry of env) {
    const equals = entry.indexOf("=");
    if (equals > 0) next = next.addEnv(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return dir === undefined || dir === "" ? next : next.dir(dir);
}
