import { createHmac } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { KilnError } from "../errors.js";
import { Auth } from "../gen/moby/filesync/v1/auth_pb.js";
import type { Credentials, CredentialsProvider } from "./credentials.js";
import { fetchToken, type RegistryTls } from "./fetch-token.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryService } from "./grpc/unary-service.js";
import { publicKeyBytes, signedMessage, tokenKey } from "./token-key.js";
import type { TokenSeeds } from "./token-seeds.js";

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

interface Found {
  readonly credentials: Credentials | undefined;
  /** Whether they are those of one build. */
  readonly isOwn: boolean;
}

const nothing: Found = { credentials: undefined, isOwn: false };

/** Options of {@link authService}. */
export interface AuthOptions {
  readonly credentials: CredentialsProvider;
  /**
   * Asked before `credentials`: those of one build. Where it has an answer or fails, `credentials` is not asked. Tokens that
   * the daemon gets with its answers are reused for those alone who have the same ones.
   */
  readonly own?: CredentialsProvider | undefined;
  /** Without it, the daemon fetches all tokens. */
  readonly tokens?: ClientTokens | undefined;
  /** Told why credentials or a token for a host could not be had. */
  readonly onProblem?: ((error: KilnError, host: string) => void) | undefined;
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
  const find = async (host: string, signal: AbortSignal): Promise<Found> => {
    try {
      const own = await options.own?.(host, signal);
      if (own !== undefined) return { credentials: own, isOwn: true };
      return { credentials: await options.credentials(host, signal), isOwn: false };
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      options.onProblem?.(error, host);
      return { credentials: undefined, isOwn: false };
    }
  };
  const keyOf = async (host: string, salt: Uint8Array, signal: AbortSignal) => {
    const { tokens } = options;
    const { credentials, isOwn } =
      tokens === undefined || tokens.when === "never" ? nothing : await find(host, signal);
    if (
      tokens === undefined ||
      tokens.when === "never" ||
      (tokens.when !== "always" && credentials === undefined)
    ) {
      throw new ServiceRefusal(status.UNAVAILABLE, "the daemon is to fetch the tokens");
    }
    const secret = credentials?.secret || credentials?.registryToken;
    if (credentials === undefined || secret === undefined) return tokenKey(salt, undefined);
    const seed = await tokens.seeds.of(host);
    return tokenKey(salt, isOwn ? seedOf(credentials, seed) : seed);
  };
  return unaryService(Auth, {
    async credentials({ Host }, { signal }) {
      const { credentials } = await find(Host, signal);
      return credentials === undefined ? {} : { Username: credentials.username, Secret: credentials.secret };
    },
    async fetchToken({ ClientID, Host, Realm, Service, Scopes }, { signal }) {
      try {
        const { token, expiresIn, issuedAt } = await fetchToken(
          { clientId: ClientID, host: Host, realm: Realm, service: Service, scopes: Scopes },
          (await find(Host, signal)).credentials,
          { signal, tls: options.tokens?.tls?.[Host] },
        );
        return { Token: token, ExpiresIn: BigInt(Math.floor(expiresIn)), IssuedAt: BigInt(issuedAt) };
      } catch (error) {
        if (error instanceof KilnError) options.onProblem?.(error, Host);
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

/**
 * A machine has one seed for a registry. Builds with other credentials than its own need others: the daemon would hand one
 * build the tokens of another.
 */
function seedOf({ username, secret, registryToken }: Credentials, seed: Uint8Array): Uint8Array {
  return createHmac("sha256", seed)
    .update(JSON.stringify([username, secret, registryToken]))
    .digest();
}
