import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { KilnError } from "../errors.js";
import { type Credentials, isDockerHub } from "./credentials.js";
import { runCredentialHelper } from "./run-credential-helper.js";

/** Where {@link dockerCredentials} looks. */
export interface DockerAuthOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly signal?: AbortSignal | undefined;
}

/** Docker Hub's key in Docker's config, whatever host name a daemon asks for. */
const hubKey = "https://index.docker.io/v1/";

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
  const keys = isDockerHub(host) ? [hubKey, host, "docker.io", "index.docker.io"] : [host];
  for (const key of keys) {
    const helper = config.credHelpers?.[key];
    if (helper !== undefined) return askHelper(helper, key, options);
  }
  if (config.credsStore !== undefined && config.credsStore !== "") {
    const found = await askHelper(config.credsStore, keys[0] ?? host, options);
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

async function askHelper(
  helper: string,
  key: string,
  options: DockerAuthOptions,
): Promise<Credentials | undefined> {
  const found = await runCredentialHelper(helper, key, options);
  if (found !== "not installed") return found;
  throw failure(
    `docker-credential-${helper} is not installed`,
    "Docker's config names it: install it, or log in without it.",
    undefined,
  );
}

function failure(message: string, hint: string, cause: unknown): KilnError {
  return new KilnError("ERR_KILN_UNAUTHORIZED", `registry credentials: ${message}`, { hint, cause });
}
