import { status } from "@grpc/grpc-js";
import { KilnError } from "../errors.js";
import { Auth } from "../gen/moby/filesync/v1/auth_pb.js";
import type { Credentials } from "./docker-auth.js";
import { fetchToken, type RegistryTls } from "./fetch-token.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryService } from "./grpc/unary-service.js";
import { publicKeyBytes, signedMessage, tokenKey } from "./token-key.js";
import type { TokenSeeds } from "./token-seeds.js";

/** Finds credentials for a registry host; `undefined` = anonymous. */
export type CredentialsProvider = (host: string, signal: AbortSignal) => Promise<Credentials | undefined>;

/** Who fetches the tokens of registries. */
export interface ClientTokens {
  /**
   * For which registries this client does: `authenticated` = those that it has credentials for, whose password the
   * daemon then never sees; `always` = anonymous tokens too; `never` = the daemon does, with the credentials.
   */
  readonly when: "authenticated" | "always" | "never";
  readonly seeds: TokenSeeds;
  /** Certificates by registry host. */
  readonly tls?: Readonly<Record<string, RegistryTls>> | undefined;
}

/** Options of {@link authService}. */
export interface AuthOptions {
  readonly credentials: CredentialsProvider;
  /** Without it, the daemon fetches all tokens. */
  readonly tokens?: ClientTokens | undefined;
  /** Told why credentials or a token could not be had. */
  readonly onProblem?: ((error: KilnError) => void) | undefined;
}

/**
 * Answers the daemon's questions for registry credentials and tokens (`session/auth`).
 *
 * The daemon first asks for a key that stands for this client's secrets (`GetTokenAuthority`). An answer makes it ask
 * for tokens, and reuse them for whoever proves to have the same key; UNAVAILABLE makes it ask for the credentials and
 * fetch tokens itself. A provider that fails makes the answer anonymous, so that public images still resolve; the reason
 * goes to `onProblem`.
 */
export function authService(options: AuthOptions): Attachable {
  const find = async (host: string, signal: AbortSignal): Promise<Credentials | undefined> => {
    try {
      return await options.credentials(host, signal);
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      options.onProblem?.(error);
      return undefined;
    }
  };
  const keyOf = async (host: string, salt: Uint8Array, signal: AbortSignal) => {
    const { tokens } = options;
    const credentials =
      tokens === undefined || tokens.when === "never" ? undefined : await find(host, signal);
    if (
      tokens === undefined ||
      tokens.when === "never" ||
      (tokens.when !== "always" && credentials === undefined)
    ) {
      throw new ServiceRefusal(status.UNAVAILABLE, "the daemon is to fetch the tokens");
    }
    const secret = credentials?.secret || credentials?.registryToken;
    return tokenKey(salt, secret === undefined ? undefined : await tokens.seeds.of(host));
  };
  return unaryService(Auth, {
    async credentials({ Host }, { signal }) {
      const found = await find(Host, signal);
      return found === undefined ? {} : { Username: found.username, Secret: found.secret };
    },
    async fetchToken({ ClientID, Host, Realm, Service, Scopes }, { signal }) {
      try {
        const { token, expiresIn, issuedAt } = await fetchToken(
          { clientId: ClientID, host: Host, realm: Realm, service: Service, scopes: Scopes },
          await find(Host, signal),
          { signal, tls: options.tokens?.tls?.[Host] },
        );
        return { Token: token, ExpiresIn: BigInt(Math.floor(expiresIn)), IssuedAt: BigInt(issuedAt) };
      } catch (error) {
        if (error instanceof KilnError) options.onProblem?.(error);
        throw error;
      }
    },
    async getTokenAuthority({ Host, Salt }, { signal }) {
      return { PublicKey: publicKeyBytes(await keyOf(Host, Salt, signal)) };
    },
    async verifyTokenAuthority({ Host, Payload, Salt }, { signal }) {
      return { Signed: signedMessage(await keyOf(Host, Salt, signal), Payload) };
    },
  });
}
