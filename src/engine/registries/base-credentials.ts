import { KilnError } from "../../errors.js";
import type { Needs, RegistryBaseNeed } from "../../model/needs.js";
import { parseReference } from "../../oci/reference.js";
import type { Credentials, CredentialsProvider } from "../../session/credentials.js";
import { credentialsFor } from "../../session/registry-credentials/credentials-for.js";
import { withRegistryCredentials } from "../../session/registry-credentials/with-registry-credentials.js";
import type { SecretSource } from "../../session/secrets.js";

/** What {@link baseCredentials} goes by. */
export interface BaseCredentialsOptions {
  /** Values of the secrets that open registries, by need id. */
  readonly registries: ReadonlyMap<string, ReadonlyMap<string, SecretSource>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the build itself, for all other hosts. */
  readonly others: CredentialsProvider | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Credentials of one build: those that its bases name, each for its own registry, looked up when the daemon asks.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for two bases of one registry that name different secrets: the daemon asks for a
 * registry's credentials once a build.
 */
export function baseCredentials(
  { bases }: Needs,
  { registries, env, others, signal }: BaseCredentialsOptions,
): CredentialsProvider | undefined {
  const named = new Map<string, RegistryBaseNeed>();
  for (const need of bases) {
    if (need.kind !== "registry" || need.auth === undefined) continue;
    const { domain } = parseReference(need.ref);
    const other = named.get(domain);
    if (other !== undefined && !sameSecret(need, other, registries)) {
      throw new KilnError(
        "ERR_KILN_INVALID_ARGUMENT",
        `two bases of ${domain} have different secrets: ${other.ref} and ${need.ref}`,
        { hint: "Name one secret that may pull both.", location: need.location },
      );
    }
    named.set(domain, need);
  }
  if (named.size === 0) return others;
  const byHost = new Map<string, () => Promise<Credentials>>();
  for (const [host, { auth, location }] of named) {
    if (auth === undefined) continue;
    const find = async (): Promise<Credentials> => {
      const values = await valuesOf(registries.get(auth.secret) ?? new Map());
      return credentialsFor(auth.kind, host, values, { env, signal, location });
    };
    let found: Promise<Credentials> | undefined;
    byHost.set(host, () => {
      found ??= find();
      return found;
    });
  }
  return withRegistryCredentials(others ?? (async () => undefined), byHost);
}

function sameSecret(
  a: RegistryBaseNeed,
  b: RegistryBaseNeed,
  registries: BaseCredentialsOptions["registries"],
): boolean {
  const [one, two] = [a, b].map(({ auth }) => registries.get(auth?.secret ?? ""));
  return a.auth?.kind === b.auth?.kind && one === two;
}

async function valuesOf(
  secret: ReadonlyMap<string, SecretSource>,
): Promise<Readonly<Record<string, string>>> {
  const values: Record<string, string> = {};
  for (const [key, source] of secret) {
    const value = typeof source === "function" ? await source() : source;
    if (typeof value === "string") values[key] = value;
    else if (value instanceof Uint8Array) values[key] = new TextDecoder().decode(value);
  }
  return values;
}
