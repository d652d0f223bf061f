import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import {
  type Address,
  defaultBuildkitSocket,
  defaultDockerSocket,
  formatAddress,
  parseAddress,
} from "./address.js";
import { currentDockerContext } from "./docker-context.js";
import type { TlsOptions } from "./tls-options.js";

/** A place where a daemon may be, and what a look at it (no request) says. */
export interface Candidate {
  /** The address as text; what the user wrote when it could not be parsed. */
  readonly address: string;
  readonly parsed: Address | undefined;
  /** What named it: `--host`, `KILN_HOST`, `BUILDKIT_HOST`, `buildkitd`, `Docker`, `Docker context NAME`. */
  readonly source: string;
  /** The user named it: it is used or fails, never skipped. */
  readonly explicit: boolean;
  /** Its socket exists and may be opened; always true for TCP, which is not tried. */
  readonly found: boolean;
  /** Why it was not found. */
  readonly problem: string | undefined;
  readonly tls: TlsOptions | undefined;
}

/** Where {@link discover} looks. */
export interface DiscoverOptions {
  /** An address that the caller was given. */
  readonly host?: string | undefined;
  /** What to call that in messages; default `--host`. */
  readonly hostSource?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Further sockets to try before Docker's, e.g. of a private engine. */
  readonly extra?: readonly { readonly address: string; readonly source: string }[] | undefined;
}

/**
 * Lists the places where a daemon may be, best first, each checked by a stat of its socket alone.
 *
 * Order: the given host, `KILN_HOST`, `BUILDKIT_HOST`, buildkitd's sockets (system, then rootless), the
 * caller's extra ones, Docker's current context or `DOCKER_HOST`, Docker's sockets (system, rootless,
 * Desktop). The list ends at the first explicit one: nothing is looked for behind the user's back. Never
 * throws: a wrong address is a candidate with a problem.
 */
export async function discover(options: DiscoverOptions): Promise<readonly Candidate[]> {
  const { env, home } = options;
  const named: readonly (readonly [string | undefined, string])[] = [
    [options.host, options.hostSource ?? "--host"],
    [env["KILN_HOST"], "KILN_HOST"],
    [env["BUILDKIT_HOST"], "BUILDKIT_HOST"],
  ];
  for (const [text, source] of named) {
    if (text !== undefined && text !== "") return [await look(text, source, true)];
  }
  const runtimeDir = env["XDG_RUNTIME_DIR"];
  const list: Promise<Candidate>[] = [look(`unix://${defaultBuildkitSocket}`, "buildkitd", false)];
  if (runtimeDir !== undefined) {
    list.push(look(`unix://${join(runtimeDir, "buildkit", "buildkitd.sock")}`, "rootless buildkitd", false));
  }
  for (const { address, source } of options.extra ?? []) list.push(look(address, source, false));
  list.push(lookAtContext(env, home));
  list.push(look(`docker://${defaultDockerSocket}`, "Docker", false));
  if (runtimeDir !== undefined) {
    list.push(look(`docker://${join(runtimeDir, "docker.sock")}`, "rootless Docker", false));
  }
  list.push(look(`docker://${join(home, ".docker", "run", "docker.sock")}`, "Docker Desktop", false));
  const seen = new Set<string>();
  return (await Promise.all(list)).filter((candidate) => {
    if (candidate.address === "" || seen.has(candidate.address)) return false;
    seen.add(candidate.address);
    return true;
  });
}

async function lookAtContext(env: DiscoverOptions["env"], home: string): Promise<Candidate> {
  const none = {
    address: "",
    parsed: undefined,
    source: "Docker context",
    explicit: false,
    found: false,
    tls: undefined,
  };
  try {
    const context = await currentDockerContext({ env, home });
    if (context === undefined) return { ...none, problem: undefined };
    const source = env["DOCKER_HOST"] ? "DOCKER_HOST" : `Docker context ${context.name}`;
    return { ...(await look(formatAddress(context.address), source, false)), tls: context.tls };
  } catch (error) {
    const name = env["DOCKER_HOST"] ?? env["DOCKER_CONTEXT"] ?? "the current Docker context";
    return { ...none, address: name, problem: error instanceof KilnError ? error.message : String(error) };
  }
}

async function look(text: string, source: string, explicit: boolean): Promise<Candidate> {
  try {
    const parsed = parseAddress(text);
    const problem = await socketProblem(parsed);
    return {
      address: formatAddress(parsed),
      parsed,
      source,
      explicit,
      found: problem === undefined,
      problem,
      tls: undefined,
    };
  } catch (error) {
    const problem = error instanceof KilnError ? error.message : String(error);
    return { address: text, parsed: undefined, source, explicit, found: false, problem, tls: undefined };
  }
}

async function socketProblem(address: Address): Promise<string | undefined> {
  if (!("path" in address)) return undefined;
  try {
    const found = await stat(address.path);
    if (!found.isSocket()) return "it is not a socket";
    await access(address.path, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case "ENOENT":
      case "ENOTDIR":
        return "no such socket";
      case "EACCES":
      case "EPERM":
        return "no permission to open it";
      default:
        return String((error as Error).message);
    }
  }
}
