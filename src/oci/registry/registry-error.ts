import { KilnError, type KilnErrorCode } from "../../errors.js";
import { isCertificateProblem } from "../../internal/certificate-problem.js";
import type { HttpAnswer } from "./http-transport.js";
import { readBounded } from "./read-bounded.js";

/** What a failure is about, for messages. */
export interface Subject {
  /** `HOST/REPOSITORY`. */
  readonly repository: string;
  /** Such as `HEAD 1.0` or `upload of sha256:…`. */
  readonly what: string;
  /** Whether a 404 is about a blob, not an image. */
  readonly isBlob: boolean;
}

/** A failure that may go away by itself. */
export class Transient extends Error {
  /** What is thrown if it does not. */
  readonly error: KilnError;
  /** How long the server asks to wait, in milliseconds. */
  readonly waitMs: number | undefined;

  constructor(error: KilnError, waitMs?: number) {
    super(error.message);
    this.error = error;
    this.waitMs = waitMs;
  }
}

const textLimit = 300;
const bodyLimit = 64 * 1024;
const transientStatuses: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
const transientCodes: ReadonlySet<string> = new Set([
  ...["ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "ERR_STREAM_PREMATURE_CLOSE"],
]);

/** Codes of a registry's own errors (distribution specification) that stand for one of Kiln's. */
const knownCodes: Readonly<Record<string, KilnErrorCode>> = {
  UNAUTHORIZED: "ERR_KILN_UNAUTHORIZED",
  DENIED: "ERR_KILN_UNAUTHORIZED",
  DIGEST_INVALID: "ERR_KILN_DIGEST_MISMATCH",
  SIZE_INVALID: "ERR_KILN_TRUNCATED",
  MANIFEST_BLOB_UNKNOWN: "ERR_KILN_BLOB_NOT_FOUND",
};

/** An answer that is no success. */
export class Refusal extends Error {
  readonly status: number;
  /** The registry's own code, e.g. `UNSUPPORTED`. */
  readonly code: string | undefined;
  /** What is to be thrown. */
  readonly error: KilnError | Transient;

  constructor(status: number, code: string | undefined, error: KilnError | Transient) {
    super(error.message);
    this.status = status;
    this.code = code;
    this.error = error;
  }
}

/** Reads an answer that is no success. `secret` is the header that the request was authorised by: no message holds it. */
export async function refusal(
  answer: HttpAnswer,
  subject: Subject,
  secret: string | undefined,
): Promise<Refusal> {
  const { code, text } = describe(await readBounded(answer.stream, bodyLimit).catch(() => undefined));
  const { status } = answer;
  const said = text === "" ? "" : `: ${masked(text, secret)}`;
  const error = new KilnError(
    codeOf(status, code, subject),
    `${subject.repository}: ${subject.what}: the registry answers ${status}${said}`,
    { hint: hintOf(status, subject) },
  );
  if (!transientStatuses.has(status)) return new Refusal(status, code, error);
  return new Refusal(status, code, new Transient(error, retryAfter(answer.headers["retry-after"])));
}

/** What a request failed with: {@link Transient}, or the error to be thrown. */
export function failureOf(error: unknown, subject: Subject): unknown {
  if (error instanceof Refusal) return error.error;
  if (error instanceof KilnError || error instanceof Transient || !(error instanceof Error)) return error;
  const code = "code" in error ? String(error.code) : "";
  const failed = (kind: KilnErrorCode, why: string, hint: string): KilnError =>
    new KilnError(kind, `${subject.repository}: ${subject.what}: ${why}`, { hint, cause: error });
  if (isCertificateProblem(error)) {
    return failed(
      "ERR_KILN_UNTRUSTED_CERTIFICATE",
      `this client does not trust the registry's certificate: ${error.message}`,
      "Give its certificate authority in registryTls or NODE_EXTRA_CA_CERTS.",
    );
  }
  if (code === "HPE_HEADER_OVERFLOW") {
    return failed("ERR_KILN_LIMIT_EXCEEDED", "the registry's headers are too long", "Check the host's name.");
  }
  if (code.startsWith("HPE_")) {
    return failed("ERR_KILN_PROTOCOL", `no HTTP is spoken there: ${error.message}`, "Check the host's name.");
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")) {
    const hint = "A registry without TLS, or with a certificate of its own making, needs `insecure`.";
    return failed("ERR_KILN_TLS", `no TLS with the registry: ${error.message}`, hint);
  }
  if (transientCodes.has(code)) {
    const hint = "Try again; check the way to the registry, and its log.";
    return new Transient(
      failed("ERR_KILN_CONNECTION_LOST", `the connection was lost: ${error.message}`, hint),
    );
  }
  if ("syscall" in error && ["connect", "getaddrinfo"].includes(String(error.syscall))) {
    const hint = "Check the registry's name and that it runs. This machine asks it, not the daemon.";
    return failed("ERR_KILN_CONNECT_FAILED", `cannot connect to the registry: ${error.message}`, hint);
  }
  // Several addresses were tried.
  if (error instanceof AggregateError) return failureOf(error.errors[0], subject);
  return error;
}

function codeOf(status: number, code: string | undefined, { isBlob }: Subject): KilnErrorCode {
  if (status === 401 || status === 403) return "ERR_KILN_UNAUTHORIZED";
  if (status === 404) return isBlob ? "ERR_KILN_BLOB_NOT_FOUND" : "ERR_KILN_IMAGE_NOT_FOUND";
  return (
    (code !== undefined && Object.hasOwn(knownCodes, code) ? knownCodes[code] : undefined) ?? "ERR_KILN_RPC"
  );
}

function hintOf(status: number, { repository }: Subject): string {
  const host = repository.slice(0, repository.indexOf("/"));
  if (status === 401 || status === 403) return `Log in with an account that may: docker login ${host}`;
  if (status === 404) return "Check the name of the repository and that the image is there.";
  if (status === 429) return "The registry wants fewer requests: log in, or wait.";
  if (status >= 500) return "Try again; see the registry's log.";
  return "The message is the registry's.";
}

/** `Retry-After`: seconds, or a date. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function describe(body: Buffer | undefined): { readonly code: string | undefined; readonly text: string } {
  if (body === undefined) return { code: undefined, text: "" };
  const text = body.toString("utf8");
  let errors: unknown;
  try {
    errors = Reflect.get(Object(JSON.parse(text)), "errors");
  } catch {
    // A proxy's page, mostly.
    return { code: undefined, text: /^\s*</.test(text) ? "" : text.trim() };
  }
  const [first] = Array.isArray(errors) ? (errors as readonly unknown[]) : [];
  const member = (key: string): string | undefined => {
    const value: unknown = Reflect.get(Object(first), key);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const code = member("code");
  return { code, text: [code, member("message")].filter((part) => part !== undefined).join(": ") };
}

/** Text from outside, fit to print, without what it may repeat of a login. */
function masked(text: string, secret: string | undefined): string {
  let clean = text.replaceAll(/[^\P{Cc}\t]/gu, " ");
  for (const part of secretParts(secret)) clean = clean.replaceAll(part, "***");
  return clean.length > textLimit ? `${clean.slice(0, textLimit)}…` : clean;
}

function secretParts(header: string | undefined): readonly string[] {
  if (header === undefined) return [];
  const value = header.slice(header.indexOf(" ") + 1);
  const parts = [value];
  if (/^basic /i.test(header)) {
    const login = Buffer.from(value, "base64").toString("utf8");
    parts.push(login, login.slice(login.indexOf(":") + 1));
  }
  return parts.filter((part) => part.length > 3);
}
