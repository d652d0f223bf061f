import { KilnError, type KilnErrorOptions } from "../errors.js";
import type { StatusDetail } from "./status-details.js";

/** gRPC's status codes by number. */
export const grpcStatusNames: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** What an {@link RpcError} carries beyond code and message. */
export interface RpcErrorOptions extends KilnErrorOptions {
  readonly status: number;
  readonly details: readonly StatusDetail[];
}

/** A call that the daemon (or the way to it) answered with a gRPC status other than OK. */
export class RpcError extends KilnError {
  /** The gRPC status number. */
  readonly status: number;
  /** Its name, e.g. `NOT_FOUND`. */
  readonly statusName: string;
  /** The typed details that came with it, in the daemon's order; unknown ones are kept raw. */
  readonly details: readonly StatusDetail[];

  constructor(
    code: "ERR_KILN_RPC" | "ERR_KILN_CONNECT_FAILED" | "ERR_KILN_CONNECTION_LOST" | "ERR_KILN_TLS",
    message: string,
    options: RpcErrorOptions,
  ) {
    super(code, message, options);
    this.name = "RpcError";
    this.status = options.status;
    this.statusName = grpcStatusNames[options.status] ?? `STATUS_${options.status}`;
    this.details = options.details;
  }
}
