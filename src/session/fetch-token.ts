import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import * as v from "valibot";
import { KilnError } from "../errors.js";
import { isCertificateProblem } from "../internal/certificate-problem.js";
import type { Credentials } from "./credentials.js";

/** What the daemon asks a token for. */
export interface TokenRequest {
  readonly clientId: string;
  readonly host: string;
  /** URL of the registry's token server. */
  readonly realm: string;
  readonly service: string;
  /** E.g. `repository:library/alpine:pull`. */
  readonly scopes: readonly string[];
}

/** A registry's token. */
export interface Token {
  readonly token: string;
  /** Seconds it is good for; 60 where the server does not say. */
  readonly expiresIn: number;
  /** Seconds since 1970; 0 = not said. */
  readonly issuedAt: number;
}

/** Certificates for a registry's own servers. */
export interface RegistryTls {
  /** PEM text of certificate authorities, beside those that Node trusts. */
  readonly ca?: string | undefined;
  /** PEM text of a client certificate and its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

const defaultSeconds = 60;
const answerLimit = 1024 * 1024;
const timeoutMs = 55_000;

const answerSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
  expires_in: v.optional(v.number()),
  issued_at: v.optional(v.string()),
});

/**
 * Fetches a token for a registry from its token server.
 *
 * With credentials by OAuth's POST (a password, or a refresh token where there is no user name), and where the server
 * does not take that (404, 401, 405) by GET with basic auth, as the Docker registry protocol has it; without credentials
 * by an anonymous GET. Rejects with `ERR_KILN_UNAUTHORIZED`, or `ERR_KILN_UNTRUSTED_CERTIFICATE` for the token server's; no
 * message holds a secret.
 */
export async function fetchToken(
  request: TokenRequest,
  credentials: Credentials | undefined,
  options: { readonly tls?: RegistryTls | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<Token> {
  if (credentials?.registryToken !== undefined) {
    return { token: credentials.registryToken, expiresIn: defaultSeconds, issuedAt: 0 };
  }
  const known = credentials === undefined || credentials.secret === "" ? undefined : credentials;
  if (known !== undefined) {
    const answer = await send(request, { method: "POST", form: oauthForm(request, known), ...options });
    const tryGet =
      answer.status === 404 || answer.status === 401 || (answer.status === 405 && known.username !== "");
    if (!tryGet) return readToken(request, answer, known);
  }
  return readToken(request, await send(request, { method: "GET", credentials: known, ...options }), known);
}

function oauthForm(request: TokenRequest, { username, secret }: Credentials): URLSearchParams {
  const form = new URLSearchParams({
    grant_type: username === "" ? "refresh_token" : "password",
    service: request.service,
    client_id: request.clientId === "" ? "kiln" : request.clientId,
  });
  if (request.scopes.length > 0) form.set("scope", request.scopes.join(" "));
  if (username === "") form.set("refresh_token", secret);
  else {
    form.set("username", username);
    form.set("password", secret);
  }
  return form;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Sending {
  readonly method: "GET" | "POST";
  readonly form?: URLSearchParams | undefined;
  readonly credentials?: Credentials | undefined;
  readonly tls?: RegistryTls | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function send(request: TokenRequest, sending: Sending): Promise<Answer> {
  const url = realmUrl(request);
  if (sending.method === "GET") {
    if (request.service !== "") url.searchParams.append("service", request.service);
    for (const scope of request.scopes) url.searchParams.append("scope", scope);
  }
  try {
    return await exchange(url, sending);
  } catch (error) {
    if (isCertificateProblem(error)) {
      throw new KilnError(
        "ERR_KILN_UNTRUSTED_CERTIFICATE",
        `no token for ${request.host}: this client does not trust its token server at ${url.host}: ${error.message}`,
        {
          cause: error,
          hint:
            "This machine asks it, not the daemon. Give its certificate authority in registryTls or " +
            "NODE_EXTRA_CA_CERTS, or let the daemon ask: BUILDKIT_NO_CLIENT_TOKEN=1.",
        },
      );
    }
    throw new KilnError(
      "ERR_KILN_UNAUTHORIZED",
      `no token for ${request.host}: its token server at ${url.host} cannot be reached: ${(error as Error).message}`,
      {
        cause: error,
        hint: "This machine asks it, not the daemon. To let the daemon ask: BUILDKIT_NO_CLIENT_TOKEN=1.",
      },
    );
  }
}

function realmUrl(request: TokenRequest): URL {
  const url = URL.canParse(request.realm) ? new URL(request.realm) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new KilnError(
      "ERR_KILN_UNAUTHORIZED",
      `no token for ${request.host}: ${JSON.stringify(request.realm)} is no URL of a token server`,
      { hint: "The registry names it in its answer: check the registry's configuration." },
    );
  }
  return url;
}

function exchange(url: URL, { method, form, credentials, tls = {}, signal }: Sending): Promise<Answer> {
  const body = form?.toString();
  const signals = [AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])];
  return new Promise((resolve, reject) => {
    const make = url.protocol === "http:" ? requestHttp : requestHttps;
    const call = make(
      url,
      {
        method,
        signal: AbortSignal.any(signals),
        headers: {
          accept: "application/json",
          ...(body === undefined
            ? {}
            : {
                "content-type": "application/x-www-form-urlencoded; charset=utf-8",
                "content-length": Buffer.byteLength(body),
              }),
          ...(credentials === undefined ? {} : { authorization: basicAuth(credentials) }),
        },
        ...(url.protocol === "http:" ? {} : tls),
      },
      (response) => {
        readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
      },
    );
    call.once("error", reject);
    call.end(body);
  });
}

function basicAuth({ username, secret }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString("base64")}`;
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > answerLimit) throw new Error("its answer is too long");
  }
  return text;
}

function readToken(request: TokenRequest, answer: Answer, credentials: Credentials | undefined): Token {
  if (answer.status < 200 || answer.status >= 400) {
    throw new KilnError(
      "ERR_KILN_UNAUTHORIZED",
      credentials === undefined
        ? `no token for ${request.host}: its token server refuses anonymous access (${answer.status})`
        : `no token for ${request.host}: its token server refuses the credentials (${answer.status})`,
      { hint: `Log in again: docker login ${request.host}` },
    );
  }
  let parsed: v.InferOutput<typeof answerSchema> | undefined;
  try {
    parsed = v.parse(answerSchema, JSON.parse(answer.text));
  } catch {
    parsed = undefined;
  }
  // Empty ones count as missing.
  const token = parsed?.access_token || parsed?.token;
  if (parsed === undefined || token === undefined || token === "") {
    throw new KilnError("ERR_KILN_UNAUTHORIZED", `the token server of ${request.host} answered no token`, {
      hint: "Check the registry's token server.",
    });
  }
  const issued = Date.parse(parsed.issued_at ?? "");
  return {
    token,
    expiresIn:
      parsed.expires_in === undefined || parsed.expires_in === 0 ? defaultSeconds : parsed.expires_in,
    issuedAt: Number.isNaN(issued) ? 0 : Math.floor(issued / 1000),
  };
}
