import { createSign, type KeyObject, randomUUID } from "node:crypto";
import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttps } from "node:https";

/** A question that a {@link TokenServer} got, without its password. */
export interface TokenQuestion {
  readonly method: string;
  /** Whether it came with the right name and password. */
  readonly known: boolean;
  readonly scopes: readonly string[];
}

/** The token server of a registry, with one user. */
export interface TokenServer {
  /** Its URL, for the registry's `realm`. */
  readonly realm: string;
  readonly questions: TokenQuestion[];
  readonly close: () => void;
}

/** What a {@link TokenServer} and its registry agree on. */
export const tokenNames = { issuer: "kiln-test", service: "kiln-registry" } as const;

/**
 * Starts a token server as Docker's registries have them: OAuth's POST and GET with basic auth.
 *
 * `key` signs the tokens; `certificate` is its PEM, which the registry must trust.
 */
export async function startTokenServer(options: {
  readonly username: string;
  readonly password: string;
  readonly key: KeyObject;
  readonly certificate: string;
  /** Address to listen on. Default loopback. */
  readonly listenOn?: string | undefined;
  /** PEM texts; default plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}): Promise<TokenServer> {
  const { username, password, key, tls, listenOn = "127.0.0.1" } = options;
  const chain = options.certificate.replaceAll(/-----[A-Z ]+-----|\s/g, "");
  const questions: TokenQuestion[] = [];
  const listener: RequestListener = (request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += String(chunk);
    });
    request.on("end", () => {
      const form = new URLSearchParams(text);
      const url = new URL(request.url ?? "", "http://x");
      const basic = Buffer.from(request.headers.authorization?.slice(6) ?? "", "base64").toString();
      const isPost = request.method === "POST";
      const known = isPost
        ? form.get("username") === username && form.get("password") === password
        : basic === `${username}:${password}`;
      const scopes = isPost ? (form.get("scope") ?? "").split(" ") : url.searchParams.getAll("scope");
      questions.push({ method: request.method ?? "", known, scopes });
      if (!known) {
        response.writeHead(401).end("{}");
        return;
      }
      const token = signToken(key, chain, username, scopes);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
    });
  };
  const server: Server = tls === undefined ? createHttp(listener) : createHttps({ ...tls }, listener);
  await new Promise<void>((resolve) => server.listen(0, listenOn, resolve));
  const { port } = server.address() as { port: number };
  return {
    realm: `${tls === undefined ? "http" : "https"}://${listenOn}:${port}/token`,
    questions,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A token as the registry takes it: signed with the key of the certificate that it trusts. */
function signToken(key: KeyObject, chain: string, username: string, scopes: readonly string[]): string {
  const now = Math.floor(Date.now() / 1000);
  const access = scopes.map((scope) => {
    const [type = "", name = "", actions = ""] = scope.split(":");
    return { type, name, actions: actions.split(",") };
  });
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = encode({ typ: "JWT", alg: "RS256", x5c: [chain] });
  const body = encode({
    ...{ iss: tokenNames.issuer, sub: username, aud: tokenNames.service, jti: randomUUID() },
    ...{ exp: now + 300, nbf: now - 10, iat: now, access },
  });
  const signature = createSign("RSA-SHA256").update(`${head}.${body}`).sign(key).toString("base64url");
  return `${head}.${body}.${signature}`;
}
