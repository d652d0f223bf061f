import { spawn } from "node:child_process";
import * as v from "valibot";
import { KilnError } from "../errors.js";
import type { Credentials } from "./credentials.js";

/** How a credential helper is run. */
export interface CredentialHelperOptions {
  /** Its environment; `PATH` in it says where it is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

const timeoutMs = 30_000;
const outputLimit = 1024 * 1024;

const answer = v.object({ Username: v.string(), Secret: v.string() });

/**
 * Asks `docker-credential-NAME get` for the credentials of a server, as the Docker CLI does; `undefined` where it knows
 * none, `"not installed"` where there is no such program.
 *
 * Rejects with `ERR_KILN_UNAUTHORIZED` when it fails, or with the signal's reason; no message holds what it printed.
 */
export async function runCredentialHelper(
  name: string,
  server: string,
  options: CredentialHelperOptions,
): Promise<Credentials | "not installed" | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) throw failure(`${program} is no name of a program`, "Repair Docker's config.");
  const ended = await runWithInput(program, server, options);
  if (ended === undefined) return "not installed";
  if (ended.code !== 0) {
    if (/credentials not found|no credentials server URL/i.test(ended.output)) return undefined;
    throw failure(
      `${program} get ${server} failed with exit code ${ended.code}`,
      `Try \`docker login ${server}\`.`,
    );
  }
  try {
    const { Username, Secret } = v.parse(answer, JSON.parse(ended.output));
    return Username === "<token>" ? { username: "", secret: Secret } : { username: Username, secret: Secret };
  } catch {
    throw failure(`${program} get ${server} gave no credentials`, "Check the credential helper.");
  }
}

/** `undefined` if there is no such program. */
function runWithInput(
  program: string,
  input: string,
  { env, signal }: CredentialHelperOptions,
): Promise<{ readonly code: number | null; readonly output: string } | undefined> {
  const timeout = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], {
      env: { ...env },
      stdio: ["pipe", "pipe", "ignore"],
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    let output = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => {
      if (output.length < outputLimit) output += chunk;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") resolve(undefined);
      else if (signal?.aborted === true) reject(signal.reason);
      else reject(failure(`${program} did not answer`, `It gets ${timeoutMs / 1000} s.`, error));
    });
    child.once("close", (code) => resolve({ code, output }));
  });
}

function failure(message: string, hint: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_UNAUTHORIZED", `registry credentials: ${message}`, { hint, cause });
}
