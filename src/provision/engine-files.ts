import { join } from "node:path";
import { setupError } from "./setup-error.js";

/**
 * Which Docker the engine comes from: today's, one with BuildKit's 0.13 generation, or today's with the image
 * store that Docker had before containerd's.
 */
export type EngineKind = "modern" | "older" | "classic";

/** All engine kinds. */
export const engineKinds: readonly EngineKind[] = ["modern", "older", "classic"];

/** Where an engine keeps what is its own. */
export interface EngineFiles {
  readonly home: string;
  readonly socket: string;
  readonly config: string;
  readonly state: string;
  readonly log: string;
  readonly pid: string;
  readonly data: string;
  readonly exec: string;
  readonly cdi: string;
}

// The kernel's sockaddr_un holds 108 bytes, one of them the end.
const longestSocket = 107;

/** The files of an engine under a prefix. Throws `ERR_KILN_ENGINE_SETUP` when its socket's path is too long. */
export function engineFiles(prefix: string, kind: EngineKind): EngineFiles {
  const home = join(prefix, "engines", kind);
  const exec = join(home, "exec");
  const longest = join(exec, "containerd", "containerd-debug.sock");
  if (Buffer.byteLength(longest) > longestSocket) {
    throw setupError(
      `the engine's folder ${prefix} is too long: the path of a socket in it has over ${longestSocket} bytes`,
      "Choose a shorter folder (XDG_DATA_HOME, or --prefix).",
    );
  }
  return {
    home,
    socket: join(home, "docker.sock"),
    config: join(home, "daemon.json"),
    state: join(home, "state.json"),
    log: join(home, "daemon.log"),
    pid: join(home, "docker.pid"),
    data: join(home, "data"),
    exec,
    cdi: join(home, "cdi"),
  };
}
