/**
 * Every stable error code that Kiln throws. A code never changes its meaning; messages may.
 *
 * Codes are grouped by the part that throws them; `docs/errors.md` has a line for each.
 */
export type KilnErrorCode =
  // Bad input, thrown synchronously at the call that is wrong.
  | "ERR_KILN_INVALID_ARGUMENT"
  | "ERR_KILN_UNKNOWN_OPTION"
  | "ERR_KILN_RELATIVE_PATH"
  | "ERR_KILN_COPY_REQUIRED"
  | "ERR_KILN_INVALID_REFERENCE"
  | "ERR_KILN_INVALID_PLATFORM"
  | "ERR_KILN_INVALID_DIGEST"
  | "ERR_KILN_INVALID_PATTERN"
  | "ERR_KILN_INVALID_ADDRESS"
  | "ERR_KILN_INVALID_DEFINITION"
  | "ERR_KILN_READER_NEEDED"
  // Files of the user's.
  | "ERR_KILN_FILE_NOT_FOUND"
  | "ERR_KILN_FILE_UNREADABLE"
  | "ERR_KILN_FILE_INVALID"
  | "ERR_KILN_FILE_CHANGED"
  | "ERR_KILN_RECIPE"
  | "ERR_KILN_LAYOUT_INVALID"
  | "ERR_KILN_ARCHIVE_INVALID"
  | "ERR_KILN_OUTPUT_EXISTS"
  | "ERR_KILN_OUTPUT_UNWRITABLE"
  // Published images.
  | "ERR_KILN_IMAGE_IN_USE"
  | "ERR_KILN_LOCKED"
  // Locked sources.
  | "ERR_KILN_LOCK_INVALID"
  | "ERR_KILN_SOURCE_UNLOCKED"
  // Finding and reaching a daemon.
  | "ERR_KILN_NO_DAEMON"
  | "ERR_KILN_CONNECT_FAILED"
  | "ERR_KILN_CONNECTION_LOST"
  | "ERR_KILN_TLS"
  | "ERR_KILN_DOCKER_CONTEXT"
  | "ERR_KILN_CLASSIC_STORE"
  | "ERR_KILN_UNSUPPORTED"
  | "ERR_KILN_ESTARGZ_CRASHES_DAEMON"
  // What a daemon answered.
  | "ERR_KILN_RPC"
  | "ERR_KILN_PROTOCOL"
  | "ERR_KILN_SOLVE_FAILED"
  | "ERR_KILN_STEP_FAILED"
  | "ERR_KILN_STEP_TIMEOUT"
  | "ERR_KILN_ENTITLEMENT"
  | "ERR_KILN_IMAGE_NOT_FOUND"
  | "ERR_KILN_BUILD_NOT_FOUND"
  | "ERR_KILN_BUILD_RUNNING"
  | "ERR_KILN_BLOB_NOT_FOUND"
  | "ERR_KILN_UNAUTHORIZED"
  | "ERR_KILN_UNTRUSTED_CERTIFICATE"
  | "ERR_KILN_SECRET_NOT_FOUND"
  | "ERR_KILN_SECRET_TOO_LARGE"
  | "ERR_KILN_SECRET_VERSION"
  | "ERR_KILN_SSH_AGENT"
  | "ERR_KILN_SSH_KEY"
  // Hostile or damaged data from outside.
  | "ERR_KILN_UNSAFE_PATH"
  | "ERR_KILN_LIMIT_EXCEEDED"
  | "ERR_KILN_TRUNCATED"
  | "ERR_KILN_DIGEST_MISMATCH"
  // The private engine.
  | "ERR_KILN_ENGINE_SETUP"
  | "ERR_KILN_ENGINE_START"
  // Lifetime.
  | "ERR_KILN_CLOSED";

/** A place in the user's own code: 1-based line and column, and a path as the runtime reported it. */
export interface CallSite {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What every {@link KilnError} carries beyond its message and code. */
export interface KilnErrorOptions {
  /** What the user can do about it: one or two sentences, imperative. */
  readonly hint?: string | undefined;
  /** Where in the user's code the wrong call was made. */
  readonly location?: CallSite | undefined;
  /** The error underneath, if there is one. */
  readonly cause?: unknown;
}

const brand: symbol = Symbol.for("kiln-engine.error");

/**
 * The base class of everything Kiln throws on purpose.
 *
 * `code` is stable, `hint` says what to do, `location` is the user's call where it is known. Programmer
 * errors inside Kiln itself are plain `TypeError`s or `Error`s instead. An aborted operation rejects with
 * the signal's own reason, never with a `KilnError`.
 *
 * `instanceof` works across two copies of the package: instances are recognised by a `Symbol.for` brand.
 */
export class KilnError extends Error {
  readonly code: KilnErrorCode;
  readonly hint: string | undefined;
  readonly location: CallSite | undefined;

  constructor(code: KilnErrorCode, message: string, options: KilnErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "KilnError";
    this.code = code;
    this.hint = options.hint;
    this.location = options.location;
    Object.defineProperty(this, brand, { value: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== "object" || value === null || !(brand in value)) return false;
    // Subclasses add fields of their own, so for them the real prototype chain decides.
    // biome-ignore lint/complexity/noThisInStatic: `this` is the class on the right of instanceof
    return this === KilnError || Object.prototype.isPrototypeOf.call(this.prototype, value);
  }
}

/** `file:line:column`, the form that terminals and editors turn into a link. */
export function formatCallSite(site: CallSite): string {
  return `${site.file}:${site.line}:${site.column}`;
}
