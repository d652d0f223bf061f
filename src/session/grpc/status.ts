import { status } from "@grpc/grpc-js";
import { KilnError } from "../../errors.js";

/** A refusal that travels to the daemon as a gRPC status. */
export class ServiceRefusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** How a call ends: gRPC's code and a text. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
}

/**
 * The gRPC status with which a handler's error travels to the daemon: a {@link ServiceRefusal}'s own, `NOT_FOUND` for
 * `ERR_KILN_FILE_NOT_FOUND`, else `UNKNOWN` with the error's message.
 */
export function statusOf(error: unknown): CallStatus {
  if (error instanceof ServiceRefusal) return { code: error.code, details: error.message };
  if (error instanceof KilnError && error.code === "ERR_KILN_FILE_NOT_FOUND") {
    return { code: status.NOT_FOUND, details: error.message };
  }
  return { code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) };
}
