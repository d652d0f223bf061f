import { homedir } from "node:os";
import { KilnError } from "../../errors.js";
import type { AuthChallenge } from "../../oci/registry/challenge.js";
import { RegistryClient } from "../../oci/registry/registry-client.js";
import type { AuthorizeRequest } from "../../oci/registry/registry-connection.js";
import { registryHost } from "../../oci/registry/registry-endpoints.js";
import type { Credentials, CredentialsProvider } from "../../session/credentials.js";
import type { RegistryTls } from "../../session/fetch-token.js";

/** Options of {@link RegistryAccess}. */
export interface RegistryAccessOptions {
  /** Default: Docker's config and its helpers. */
  readonly credentials?: CredentialsProvider | undefined;
  /** Certificates for registries and their token servers, by host; default: what Node trusts. */
  readonly registryTls?: Readonly<Record<string, RegistryTls>> | undefined;
  /** Where Docker's config is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** As `RegistryClientOptions`. */
  readonly retries?: number | undefined;
}

/**
 * The way to the registries that a build writes to, with the engine's credentials: one client a repository, so that logins
 * and connections serve again. Nothing is loaded, read or asked before a registry wants a login.
 */
export class RegistryAccess {
  readonly #options: RegistryAccessOptions;
  readonly #clients = new Map<string, RegistryClient>();

  constructor(options: RegistryAccessOptions) {
    this.#options = options;
  }

  /** The client of a repository (`docker.io/library/debian`). Throws `ERR_KILN_INVALID_REFERENCE`. */
  client(repository: string, options: { readonly insecure?: boolean | undefined } = {}): RegistryClient {
    const insecure = options.insecure === true;
    const key = `${repository} ${insecure}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const { registryTls = {}, retries } = this.#options;
    const host = registryHost(repository.slice(0, repository.indexOf("/")));
    const made = new RegistryClient(repository, {
      ...{ insecure, retries, tls: tlsOf(registryTls, host) },
      authorize: (challenge, request) => this.authorize(challenge, request),
    });
    this.#clients.set(key, made);
    return made;
  }

  /** Closes all connections; requests under way fail. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  /**
   * Answers a registry's challenge, see `Authorize`: by the password, or by a token for the scopes. Rejects with
   * `ERR_KILN_UNAUTHORIZED` and what the credentials' provider rejects with.
   */
  async authorize(challenge: AuthChallenge, request: AuthorizeRequest): Promise<string | undefined> {
    const { host, signal = new AbortController().signal } = request;
    const credentials = await this.#credentials(host, signal);
    if (challenge.scheme === "basic") return basicHeader(credentials);
    const realm = challenge.parameters.get("realm") ?? "";
    if (credentials !== undefined && request.secure && /^http:/i.test(realm)) {
      throw new KilnError(
        "ERR_KILN_UNAUTHORIZED",
        `no token for ${host}: the registry, which speaks HTTPS, wants its password sent in plain text`,
        { hint: "Its answer names a token server with http://: check the registry's configuration." },
      );
    }
    const { fetchToken } = await import("../../session/fetch-token.js");
    const { token } = await fetchToken(
      {
        ...{ clientId: "kiln", host, realm, scopes: request.scopes },
        service: challenge.parameters.get("service") ?? "",
      },
      credentials,
      { signal, tls: tlsOf(this.#options.registryTls ?? {}, host) },
    );
    return `Bearer ${token}`;
  }

  async #credentials(host: string, signal: AbortSignal): Promise<Credentials | undefined> {
    const { credentials, env } = this.#options;
    if (credentials !== undefined) return credentials(host, signal);
    const { dockerCredentials } = await import("../../session/docker-auth.js");
    return dockerCredentials(host, { env, home: homedir(), signal });
  }
}

function tlsOf(
  byHost: NonNullable<RegistryAccessOptions["registryTls"]>,
  host: string,
): RegistryTls | undefined {
  if (Object.hasOwn(byHost, host)) return byHost[host];
  return host === "registry-1.docker.io" && Object.hasOwn(byHost, "docker.io")
    ? byHost["docker.io"]
    : undefined;
}

/** An identity token alone is no password. */
function basicHeader(credentials: Credentials | undefined): string | undefined {
  if (credentials?.registryToken !== undefined) return `Bearer ${credentials.registryToken}`;
  if (credentials === undefined || credentials.username === "" || credentials.secret === "") return undefined;
  const { username, secret } = credentials;
  return `Basic ${Buffer.from(`${username}:${secret}`).toString("base64")}`;
}
