import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { BuildOptions } from "../engine/build.js";
import { parseSourcePolicy } from "../engine/command-line.js";
import { KilnError } from "../errors.js";
import { type AttestFlags, parseAttestations } from "./attest-spec.js";
import { parseCacheFrom, parseCacheTo } from "./cache-spec.js";
import { parseSecrets, parseSsh } from "./secret-spec.js";
import { wrongFlag } from "./spec-fields.js";

/** Flags that say how a build is solved, in buildctl's and buildx's spelling. */
export interface SolveFlags extends AttestFlags {
  readonly cacheTo: readonly string[];
  readonly cacheFrom: readonly string[];
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly allow: readonly string[];
  readonly sourcePolicyFile?: string | undefined;
  readonly lock?: string | undefined;
  readonly pull?: string | undefined;
}

/** Adds the flags of {@link SolveFlags} to a command. */
export function addSolveFlags(command: Command): Command {
  return command
    .option("--lock <file>", "pin tags, branches and addresses by this lock file, made if it is missing")
    .option("--pull <mode>", "with --lock: locked, missing (default) or always")
    .option("--cache-to <spec>", "where to write the build's cache; repeatable", collect, [])
    .option("--cache-from <spec>", "where to take results from; repeatable", collect, [])
    .option("--provenance <spec>", "true, or mode=min|max,version=…: attest how the image was made")
    .option("--sbom <spec>", "true, or generator=IMAGE: attest what is in the image")
    .option("--attest <spec>", "type=provenance|sbom,…; repeatable", collect, [])
    .option("--secret <spec>", "id=NAME,src=FILE or id=NAME,env=VARIABLE; repeatable", collect, [])
    .option(
      "--ssh <spec>",
      "ID[=SOCKET|KEY[,KEY]]: an ssh agent for steps, ID default; repeatable",
      collect,
      [],
    )
    .option("--allow <right>", `${rights.join(", ")}; repeatable`, collect, [])
    .option("--source-policy-file <file>", "BuildKit's JSON of rules about sources");
}

const rights = ["network.host", "security.insecure", "device[=NAME]"] as const;

/**
 * Reads the flags. Rejects with `ERR_KILN_INVALID_ARGUMENT` and what is allowed, or `ERR_KILN_FILE_NOT_FOUND` for the
 * policy's file.
 */
export async function parseSolveFlags(
  flags: SolveFlags,
  place: { readonly env: Readonly<Record<string, string | undefined>>; readonly cwd: string },
): Promise<BuildOptions> {
  for (const right of flags.allow) {
    if (/^(?:network\.host|security\.insecure|device(?:=.+)?)$/.test(right)) continue;
    throw wrongFlag("--allow", `there is no right "${right}"`, `Rights: ${rights.join(", ")}.`);
  }
  return {
    cacheExports: flags.cacheTo.map(parseCacheTo),
    cacheImports: flags.cacheFrom.map(parseCacheFrom),
    attestations: parseAttestations(flags),
    secrets: parseSecrets(flags.secret, place.env),
    ssh: parseSsh(flags.ssh, place.cwd),
    entitlements: flags.allow,
    sourceLock: flags.lock,
    pull: checkPull(flags),
    sourcePolicy:
      flags.sourcePolicyFile === undefined
        ? undefined
        : parseSourcePolicy(await readPolicy(resolve(place.cwd, flags.sourcePolicyFile))),
  };
}

function checkPull({ pull, lock }: SolveFlags): BuildOptions["pull"] {
  if (pull === undefined) return undefined;
  if (lock === undefined) {
    throw wrongFlag("--pull", "it needs a lock file", "Name one: --lock kiln.lock.");
  }
  if (pull === "locked" || pull === "missing" || pull === "always") return pull;
  throw wrongFlag("--pull", `there is no mode "${pull}"`, "Modes: locked, missing, always.");
}

async function readPolicy(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `--source-policy-file: cannot read ${file}`, {
      cause: error,
      hint: `${(error as Error).message}. Check its path and permissions.`,
    });
  }
}

/** Gathers the values of a flag that may be given several times. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}
