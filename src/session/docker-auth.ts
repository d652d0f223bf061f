import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { KilnError } from "../errors.js";

/** What a registry is answered with. An identity token goes into `secret` with an empty `username`. */
export interface Credentials {
  readonly username: string;
  readonly secret: string;
  /** A bearer token that the registry takes as it is, in place of the other two. */
  readonly registryToken?: string | undefined;
}

/** Where {@link dockerCredentials} looks. */
export interface DockerAuthOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly signal?: AbortSignal | undefined;
}

const helperTimeoutMs = 30_000;
const helperOutputLimit = 1024 * 1024;

/** Docker Hub's key in Docker's config, whatever host name a daemon asks for. */
const hubKey = "https://index.docker.io/v1/";
const hubHosts = new Set(["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]);

const authEntry = v.object({
  auth: v.optional(v.string()),
  username: v.optional(v.string()),
  password: v.optional(v.string()),
  identitytoken: v.optional(v.string()),
  registrytoken: v.optional(v.string()),
});

const configSchema = v.object({
  auths: v.optional(v.record(v.string(), authEntry)),
  credsStore: v.optional(v.string()),
  credHelpers: v.optional(v.record(v.string(), v.string())),
});

/**
 * Credentials for a registry host from Docker's config file and its credential helpers.
 *
 * Looks in `$DOCKER_CONFIG` or `~/.docker`; a host's own helper comes before the general one, helpers before
 * the file's plain entries, as in the Docker CLI (`cli/config/credentials`). No config, no entry:
 * `undefined`, i.e. anonymous. Rejects with `ERR_KILN_UNAUTHORIZED` when the config or a helper is there but
 * fails; no message holds a secret.
 */
export async function dockerCredentials(
  host: string,
  options: DockerAuthOptions,
): Promise<Credentials | undefined> {
  const file = join(dockerConfigDir(options.env, options.home), "config.json");
  const config = await readConfig(file);
  if (config === undefined) return undefined;
  const keys = hubHosts.has(host) ? [hubKey, host, "docker.io", "index.docker.io"] : [host];
  for (const key of keys) {
    const helper = config.credHelpers?.[key];
    if (helper !== undefined) return runHelper(helper, key, options);
  }
  if (config.credsStore !== undefined && config.credsStore !== "") {
    const found = await runHelper(config.credsStore, keys[0] ?? host, options);
    if (found !== undefined) return found;
  }
  for (const [key, entry] of Object.entries(config.auths ?? {})) {
    if (!keys.includes(key) && !keys.includes(hostOfKey(key))) continue;
    const found = entryCredentials(entry);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where Docker keeps its config: `$DOCKER_CONFIG`, or `.docker` in the home directory. */
export function dockerConfigDir(env: DockerAuthOptions["env"], home: string): string {
  return env["DOCKER_CONFIG"] || join(home, ".docker");
}

async function readConfig(file: string): Promise<v.InferOutput<typeof configSchema> | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failure(`cannot read ${file}`, "Check its permissions.", error);
  }
  try {
    return v.parse(configSchema, JSON.parse(text));
  } catch {
    // The parser's own words may quote the file, and with it a secret.
    throw failure(
      `${file} is not a Docker config`,
      "Repair it, or log in again with `docker login`.",
      undefined,
    );
  }
}

function entryCredentials(entry: v.InferOutput<typeof authEntry>): Credentials | undefined {
  if (entry.registrytoken !== undefined && entry.registrytoken !== "") {
    return { username: "", secret: "", registryToken: entry.registrytoken };
  }
  if (entry.identitytoken !== undefined && entry.identitytoken !== "") {
    return { username: "", secret: entry.identitytoken };
  }
  if (entry.auth !== undefined && entry.auth !== "") {
    const text = Buffer.from(entry.auth, "base64").toString("utf8");
    const colon = text.indexOf(":");
    if (colon > 0)
      return { username: text.slice(0, colon), secret: text.slice(colon + 1).replace(/\0+$/, "") };
  }
  if (entry.username !== undefined && entry.password !== undefined) {
    return { username: entry.username, secret: entry.password };
  }
  return undefined;
}

// Older logins wrote URLs: "https://host/v1/".
function hostOfKey(key: string): string {
  return key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
}

const helperAnswer = v.object({ Username: v.string(), Secret: v.string() });

async function runHelper(
  helper: string,
  key: string,
  options: DockerAuthOptions,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${helper}`;
  if (!/^[\w.-]+$/.test(helper))
    throw failure(`${program} is no name of a program`, "Repair Docker's config.", undefined);
  const { code, output } = await runWithInput(program, key, options);
  if (code !== 0) {
    if (/credentials not found|no credentials server URL/i.test(output)) return undefined;
    throw failure(
      `${program} get ${key} failed with exit code ${code}`,
      `Try \`docker login ${key}\`.`,
      undefined,
    );
  }
  try {
    const { Username, Secret } = v.parse(helperAnswer, JSON.parse(output));
    return Username === "<token>" ? { username: "", secret: Secret } : { username: Username, secret: Secret };
  } catch {
    throw failure(`${program} get ${key} gave no credentials`, "Check the credential helper.", undefined);
  }
}

function runWithInput(
  program: string,
  input: string,
  options: DockerAuthOptions,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const signals = [AbortSignal.timeout(helperTimeoutMs)];
  if (options.signal !== undefined) signals.push(options.signal);
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], {
      env: { ...options.env },
      stdio: ["pipe", "pipe", "ignore"],
      signal: AbortSignal.any(signals),
    });
    let output = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => {
      if (output.length < helperOutputLimit) output += chunk;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT"
          ? failure(
              `${program} is not installed`,
              "Docker's config names it: install it, or log in without it.",
              error,
            )
          : failure(`${program} did not answer`, `It gets ${helperTimeoutMs / 1000} s.`, error),
      ),
    );
    child.once("close", (code) => resolve({ code, output }));
  });
}

function failure(message: string, hint: string, cause: unknown): KilnError {
  return new KilnError("ERR_KILN_UNAUTHORIZED", `registry credentials: ${message}`, { hint, cause });
}
