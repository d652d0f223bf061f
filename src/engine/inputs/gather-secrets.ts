import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { type CallSite, KilnError } from "../../errors.js";
import { versionOf } from "../../image/secret-version.js";
import type { SecretNeed } from "../../model/needs.js";
import type { SecretOrigin, SecretVariable } from "../../model/secret.js";
import type { SecretSource } from "../../session/secrets.js";
import { secretVersion, secretVersionKey } from "./secret-versions.js";

/**
 * Gives the values of secrets by name: `undefined` for a name that it does not know.
 *
 * Asked once a build and name, for chains with `Secret.fromName`; what it throws fails the build.
 */
export type SecretProvider = (
  name: string,
  options: { readonly signal: AbortSignal | undefined },
) => Readonly<Record<string, string>> | undefined | Promise<Readonly<Record<string, string>> | undefined>;

/** The secrets of a chain, found. */
export interface GatheredSecrets {
  /** What each step's secrets are made of, by need id. */
  readonly facts: ReadonlyMap<string, readonly SecretVariable[]>;
  /** Versions of the secrets whose values count, by need id: 32 hexadecimal digits. */
  readonly versions: ReadonlyMap<string, string>;
  /** For the session, by id: the values themselves, which are masked in what the build says from its beginning. */
  readonly sources: Readonly<Record<string, SecretSource>>;
  /** Values of the secrets that open registries, by need id and name: they never go to the daemon as secrets. */
  readonly registries: ReadonlyMap<string, ReadonlyMap<string, SecretSource>>;
}

/** Where secrets are looked for. */
export interface SecretPlaces {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly providers: readonly SecretProvider[];
  readonly signal: AbortSignal | undefined;
}

/**
 * Finds the secrets that a chain's steps name, each once.
 *
 * Rejects with `ERR_KILN_SECRET_NOT_FOUND` and the place of the call for a variable that is not set, a file that cannot
 * be read and a name that no provider knows, and for values that count with `ERR_KILN_SECRET_VERSION`. No message holds a
 * value.
 */
export async function gatherSecrets(
  needs: readonly SecretNeed[],
  places: SecretPlaces,
): Promise<GatheredSecrets> {
  const facts = new Map<string, readonly SecretVariable[]>();
  const sources = new Map<string, SecretSource>();
  const found = new Map<string, Promise<ReadonlyMap<string, string>>>();
  const objects = new Map<SecretOrigin, number>();
  const registries = new Map<string, ReadonlyMap<string, SecretSource>>();
  const versions = new Map<string, string>();
  let versionKey: Uint8Array | undefined;
  for (const { id, origin, use, versioned, location } of needs) {
    const prefix = prefixOf(origin, objects);
    // Several secrets may name the same variable.
    const key = origin.kind === "env" ? `${prefix} ${origin.keys.join(" ")}` : prefix;
    const finding = found.get(key) ?? find(origin, places, location);
    found.set(key, finding);
    const values = await finding;
    if (use === "registry") {
      registries.set(id, values);
      continue;
    }
    // Sorted: in which order a file or a provider has them must not make a step another one.
    const variables = [...values.keys()].sort().map((env) => ({ env, id: `${prefix}.${env}` }));
    for (const variable of variables) sources.set(variable.id, values.get(variable.env) ?? "");
    if (versioned !== true) {
      facts.set(id, variables);
      continue;
    }
    versionKey ??= await secretVersionKey({ env: places.env, location, signal: places.signal });
    const told: SecretVariable[] = [];
    for (const variable of variables) {
      told.push({
        ...variable,
        version: secretVersion(versionKey, variable, values.get(variable.env) ?? ""),
      });
    }
    facts.set(id, told);
    const version = versionOf(told);
    if (version !== undefined) versions.set(id, version);
  }
  return { facts, versions, sources: Object.fromEntries(sources), registries };
}

// Part of the step's identity: the same in every build, and nothing of a value in it.
function prefixOf(origin: SecretOrigin, objects: Map<SecretOrigin, number>): string {
  switch (origin.kind) {
    case "object": {
      const number = objects.get(origin) ?? objects.size + 1;
      objects.set(origin, number);
      return `kiln.object${number}`;
    }
    case "env":
      return "kiln.env";
    case "dotenv":
      return `kiln.dotenv.${origin.path}`;
    case "name":
      return `kiln.name.${origin.name}`;
    default:
      return origin satisfies never;
  }
}

async function find(
  origin: SecretOrigin,
  places: SecretPlaces,
  location: CallSite | undefined,
): Promise<ReadonlyMap<string, string>> {
  switch (origin.kind) {
    case "object":
      return new Map(origin.keys.map((key) => [key, origin.value(key)]));
    case "env":
      return new Map(
        origin.keys.map((key) => {
          const value = places.env[key];
          if (value === undefined) {
            throw missing(`the environment variable ${key} is not set`, `Set ${key}.`, location);
          }
          return [key, value];
        }),
      );
    case "dotenv":
      return fromDotenv(resolve(places.cwd, origin.path), location);
    case "name":
      return fromProviders(origin, places, location);
    default:
      return origin satisfies never;
  }
}

async function fromDotenv(
  path: string,
  location: CallSite | undefined,
): Promise<ReadonlyMap<string, string>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : "cannot be read";
    throw missing(`the dotenv file ${path} ${why}`, "Check its path and permissions.", location);
  }
  return new Map(Object.entries(parseEnv(text)).map(([key, value]) => [key, value ?? ""]));
}

async function fromProviders(
  { name, requiredKeys }: Extract<SecretOrigin, { kind: "name" }>,
  { providers, signal }: SecretPlaces,
  location: CallSite | undefined,
): Promise<ReadonlyMap<string, string>> {
  for (const provider of providers) {
    const values = await provider(name, { signal });
    if (values === undefined) continue;
    const lacking = requiredKeys.filter((key) => !Object.hasOwn(values, key));
    if (lacking.length > 0) {
      throw missing(
        `the secret "${name}" has no ${lacking.join(", ")}`,
        `It has: ${Object.keys(values).join(", ") || "nothing"}.`,
        location,
      );
    }
    return new Map(Object.entries(values));
  }
  throw missing(
    `no provider knows the secret "${name}"`,
    providers.length === 0
      ? "Give the engine one: Engine.connect({ secretProviders: [async (name) => …] })."
      : `${providers.length} were asked.`,
    location,
  );
}

function missing(why: string, hint: string, location: CallSite | undefined): KilnError {
  return new KilnError("ERR_KILN_SECRET_NOT_FOUND", why, { hint, location });
}
