import { KilnError } from "../../errors.js";
import { type AuthChallenge, chooseChallenge } from "./challenge.js";
import { type HttpAnswer, type HttpRequest, HttpTransport, type TransportTls } from "./http-transport.js";
import { type RegistryEndpoint, registryEndpoints, registryHost } from "./registry-endpoints.js";
import { refusal, type Subject } from "./registry-error.js";

/** What a login is asked for. */
export interface AuthorizeRequest {
  /** The registry's host, for which there may be credentials: `registry-1.docker.io` for Docker Hub. */
  readonly host: string;
  /** Whether the registry is spoken to over TLS. */
  readonly secure: boolean;
  /** Such as `repository:library/debian:pull,push`. */
  readonly scopes: readonly string[];
  /** The header that was answered with the challenge, if there was one: it is of no more use. */
  readonly refused: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Answers a registry's challenge: the value of the `Authorization` header; `undefined` if there are no credentials. What it
 * rejects with is thrown on.
 */
export type Authorize = (challenge: AuthChallenge, request: AuthorizeRequest) => Promise<string | undefined>;

/** Options of a {@link RegistryConnection}. */
export interface RegistryConnectionOptions {
  /** Default: nobody is logged in. */
  readonly authorize?: Authorize | undefined;
  /** Plain HTTP, or certificates that nobody checks. Default false. */
  readonly insecure?: boolean | undefined;
  /** Certificates for the registry's server; default: what Node trusts. */
  readonly tls?: TransportTls | undefined;
  /** How long nothing may be heard of the server, in milliseconds. Default a minute. */
  readonly idleMs?: number | undefined;
}

/** A request to a registry. */
export interface RegistryRequest {
  readonly method: HttpRequest["method"];
  /** Below the registry's origin (`/v2/…`), or where an answer led to. */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: HttpRequest["body"];
  readonly scopes: readonly string[];
  /** Statuses below 400 and these are answers; all others are errors. */
  readonly also?: readonly number[] | undefined;
  readonly subject: Subject;
  readonly signal: AbortSignal | undefined;
}

/** An answer, and the URL that gave it. */
export interface RegistryAnswer extends HttpAnswer {
  readonly url: URL;
}

interface Hop extends HttpAnswer {
  readonly url: URL;
  /** Whether the registry itself answered, not a server that it leads to. */
  readonly isOwn: boolean;
}

const redirectLimit = 5;
const challengeLimit = 8 * 1024;

/**
 * The way to one registry: finds out how it is spoken to, logs in where it asks for that, follows its redirects. Other
 * servers that it leads to never see the login.
 */
export class RegistryConnection {
  readonly #domain: string;
  readonly #authorize: Authorize | undefined;
  readonly #endpoints: readonly RegistryEndpoint[];
  readonly #transport: HttpTransport;
  /** By scopes. */
  readonly #logins = new Map<string, string>();
  #endpoint: RegistryEndpoint | undefined;

  /** `domain`: that of a reference, e.g. `docker.io` or `localhost:5000`. Nothing is sent yet. */
  constructor(domain: string, options: RegistryConnectionOptions = {}) {
    this.#domain = domain;
    this.#authorize = options.authorize;
    this.#endpoints = registryEndpoints(domain, options.insecure === true);
    this.#transport = new HttpTransport(options.tls ?? {}, options.idleMs ?? 60_000);
    if (this.#endpoints.length === 1) this.#endpoint = this.#endpoints[0];
  }

  /**
   * Sends a request once. Rejects with a {@link Refusal} for a status that is an error, with the socket's error, with
   * `ERR_KILN_UNAUTHORIZED` and what `authorize` rejects with, `ERR_KILN_LIMIT_EXCEEDED` for more than five redirects,
   * `ERR_KILN_PROTOCOL` for one that leads nowhere, or the signal's reason.
   */
  async send(request: RegistryRequest): Promise<RegistryAnswer> {
    const { subject, scopes, signal, also = [] } = request;
    const key = scopes.join(" ");
    let login = this.#logins.get(key);
    let answer = await this.#follow(request, login);
    if (answer.status === 401 && answer.isOwn) {
      answer.stream.resume();
      this.#logins.delete(key);
      login = await this.#logIn(answer, subject, { scopes, refused: login, signal });
      answer = await this.#follow(request, login);
      if (answer.status < 400 || also.includes(answer.status)) this.#logins.set(key, login);
    }
    if (answer.status < 400 || also.includes(answer.status)) return answer;
    throw await refusal(answer, subject, login);
  }

  /** Closes the connections; requests under way fail. */
  close(): void {
    this.#transport.close();
  }

  async #logIn(
    { headers, url }: Hop,
    { repository, what }: Subject,
    request: Omit<AuthorizeRequest, "host" | "secure">,
  ): Promise<string> {
    const host = registryHost(this.#domain);
    const header = headers["www-authenticate"] ?? "";
    const challenge = header.length > challengeLimit ? undefined : chooseChallenge(header);
    if (challenge === undefined) {
      throw new KilnError(
        "ERR_KILN_PROTOCOL",
        `${repository}: ${what}: the registry wants a login, but of no kind that is known`,
        { hint: "Basic and Bearer are. Check the registry's configuration." },
      );
    }
    const secure = url.protocol === "https:";
    const login = await this.#authorize?.(challenge, { ...request, host, secure });
    if (login !== undefined && /^[\x20-\x7e]+$/.test(login)) return login;
    throw new KilnError(
      "ERR_KILN_UNAUTHORIZED",
      login === undefined
        ? `${repository}: ${what}: the registry wants a login, and there are no credentials for ${host}`
        : `${repository}: ${what}: the credentials for ${host} cannot be sent: they hold control characters`,
      { hint: `Log in: docker login ${host}` },
    );
  }

  /** Sends a request to where the registry leads it. */
  async #follow(request: RegistryRequest, login: string | undefined): Promise<Hop> {
    const { method, subject } = request;
    let answer = await this.#reach(request, login);
    for (let hops = 0; isRedirect(answer.status); hops += 1) {
      const { location } = answer.headers;
      if (location === undefined || (method !== "GET" && method !== "HEAD")) return answer;
      answer.stream.resume();
      if (hops >= redirectLimit) {
        throw new KilnError(
          "ERR_KILN_LIMIT_EXCEEDED",
          `${subject.repository}: ${subject.what}: more than ${redirectLimit} redirects`,
          { hint: "Check the registry's storage." },
        );
      }
      answer = await this.#hop(request, this.resolve(location, answer.url, subject), login);
    }
    return answer;
  }

  /** Where an answer's `Location` leads. Throws `ERR_KILN_PROTOCOL` for what is no URL, or leaves TLS behind. */
  resolve(location: string, from: URL, { repository, what }: Subject): URL {
    const url = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
    const checked = this.#endpoints.some((endpoint) => endpoint.checked);
    if (
      url?.protocol === "https:" ||
      (url?.protocol === "http:" && (!checked || from.protocol === "http:"))
    ) {
      url.username = "";
      url.password = "";
      return url;
    }
    const why = url?.protocol === "http:" ? "from HTTPS to plain HTTP" : "to what is no URL";
    throw new KilnError("ERR_KILN_PROTOCOL", `${repository}: ${what}: the registry leads ${why}`, {
      hint: "Check its configuration: behind a proxy it has to know its own scheme and name.",
    });
  }

  /** The first hop; on the very first request, by the first scheme that the registry understands. */
  async #reach(request: RegistryRequest, login: string | undefined): Promise<Hop> {
    if (this.#endpoint !== undefined) return this.#hop(request, this.#endpoint, login);
    let first: { readonly error: unknown } | undefined;
    let refused: { readonly answer: Hop; readonly endpoint: RegistryEndpoint } | undefined;
    for (const [index, endpoint] of this.#endpoints.entries()) {
      const isLast = index === this.#endpoints.length - 1;
      try {
        const answer = await this.#hop(request, endpoint, login);
        // What servers with TLS say to plain HTTP.
        if (answer.status === 400 && !isLast && endpoint.origin.startsWith("http:")) {
          refused = { answer, endpoint };
          continue;
        }
        refused?.answer.stream.resume();
        this.#endpoint ??= endpoint;
        return answer;
      } catch (error) {
        request.signal?.throwIfAborted();
        if (refused !== undefined) {
          this.#endpoint ??= refused.endpoint;
          return refused.answer;
        }
        first ??= { error };
        if (isLast || !speaksAnother(error, endpoint)) throw first.error;
      }
    }
    throw first?.error ?? new TypeError("a registry without endpoints");
  }

  async #hop(
    { method, target, headers, body, signal }: RegistryRequest,
    to: RegistryEndpoint | URL,
    login: string | undefined,
  ): Promise<Hop> {
    const endpoint = to instanceof URL ? this.#endpoint : to;
    const url = to instanceof URL ? to : target instanceof URL ? target : new URL(target, to.origin);
    const isOwn = endpoint !== undefined && url.origin === new URL(endpoint.origin).origin;
    const answer = await this.#transport.send({
      ...{ method, url, body, signal },
      headers: {
        "user-agent": "kiln-engine",
        ...headers,
        ...(isOwn && login !== undefined ? { authorization: login } : {}),
      },
      trust: !isOwn ? "other" : endpoint.checked ? "own" : "unchecked",
    });
    return { ...answer, url, isOwn };
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** Whether a failure may mean that the other scheme is spoken. */
function speaksAnother(error: unknown, { origin }: RegistryEndpoint): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (origin.startsWith("http:")) return code === "ECONNRESET" || code.startsWith("HPE_");
  return code === "EPROTO" || code === "ECONNRESET" || code.startsWith("ERR_SSL_") || !/:\d+$/.test(origin);
}
