import { grpcStatusNames, RpcError } from "./rpc-error.js";
import { decodeStatusDetails } from "./status-details.js";

/** What is known about the connection on which an error happened. */
export interface ErrorContext {
  /** The daemon's address as text. */
  readonly address: string;
  /** Whether any call on the connection has succeeded: decides between "cannot connect" and "connection lost". */
  readonly wasReady: boolean;
  /** Why the program that connects could not, where one does. */
  readonly dialProblem?: string | undefined;
}

interface ServiceErrorLike {
  readonly code: number;
  readonly details: string;
  readonly metadata?: { get(key: string): readonly (string | Buffer)[] };
}

/** Whether a value looks like grpc-js's ServiceError. Duck-typed: grpc-js is not loaded for it. */
export function isServiceError(error: unknown): error is Error & ServiceErrorLike {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/**
 * Translates what a call on a daemon connection failed with.
 *
 * Statuses become {@link RpcError}: `ERR_KILN_CONNECT_FAILED`, `ERR_KILN_TLS` or `ERR_KILN_CONNECTION_LOST`
 * where the transport failed, else `ERR_KILN_RPC` with the daemon's text. Everything else is returned as is.
 */
export function translateCallError(error: unknown, context: ErrorContext): unknown {
  if (!isServiceError(error)) return error;
  const raw = error.metadata?.get("grpc-status-details-bin")[0];
  const details = raw instanceof Uint8Array ? decodeStatusDetails(raw) : [];
  const text = printable(error.details);
  if (error.code === 14 && details.length === 0) return transportError(error, text, context);
  return new RpcError("ERR_KILN_RPC", text === "" ? `status ${grpcStatusNames[error.code]}` : text, {
    status: error.code,
    details,
    cause: error,
  });
}

function transportError(error: Error & ServiceErrorLike, text: string, context: ErrorContext): RpcError {
  const options = { status: error.code, details: [], cause: error };
  if (context.wasReady) {
    return new RpcError(
      "ERR_KILN_CONNECTION_LOST",
      `the connection to ${context.address} was lost: ${text}`,
      {
        ...options,
        hint: "See whether the daemon still runs, and its log; a restarted daemon can be used again at once.",
      },
    );
  }
  const { dialProblem } = context;
  if (dialProblem !== undefined) {
    return new RpcError("ERR_KILN_CONNECT_FAILED", `cannot connect to ${context.address}: ${dialProblem}`, {
      ...options,
      hint: /not installed$/.test(dialProblem)
        ? "Install it, or use an address that needs no other program."
        : "Run that command yourself: it connects if it prints nothing and waits.",
    });
  }
  const { code, hint } = connectAdvice(text, context.address);
  return new RpcError(code, `cannot connect to ${context.address}: ${text}`, { ...options, hint });
}

/** What to do about a failed first connection, by the system's own error names. */
function connectAdvice(
  text: string,
  address: string,
): { readonly code: "ERR_KILN_CONNECT_FAILED" | "ERR_KILN_TLS"; readonly hint: string } {
  const failed = "ERR_KILN_CONNECT_FAILED";
  if (/ENOENT/.test(text))
    return { code: failed, hint: "No such socket: start the daemon, or check the path." };
  if (/EACCES|EPERM/.test(text)) {
    return {
      code: failed,
      hint: address.startsWith("docker:")
        ? "No permission: run as root, or add your user to the docker group and log in again."
        : "No permission to open the socket: run as root, or change the socket's group.",
    };
  }
  if (/ECONNREFUSED/.test(text)) {
    return {
      code: failed,
      hint: /^(unix|docker):\/\/\//.test(address)
        ? "Nothing listens at that socket any more: start the daemon again (`kiln engine up` if it is Kiln's own)."
        : "Nothing listens there: start the daemon, or check the port.",
    };
  }
  if (/ENOTFOUND|EAI_AGAIN|name resolution/i.test(text))
    return { code: failed, hint: "The host's name does not resolve." };
  if (/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(text))
    return { code: failed, hint: "The host does not answer: check address and firewall." };
  if (/certificate|self.signed|alert|SSL|TLS|wrong version number/i.test(text)) {
    return {
      code: "ERR_KILN_TLS",
      hint: "Check the CA, the client certificate and the server name (tls options, or --tlscacert, --tlscert, --tlskey).",
    };
  }
  return {
    code: failed,
    hint: "Check that a BuildKit listens there and speaks gRPC (docker:// for a Docker socket).",
  };
}

/**
 * Text from outside, fit to print: credentials in URLs are replaced by `***`, control characters other than
 * line feed and tab are dropped.
 */
export function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, "").replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi, "$1***@");
}
