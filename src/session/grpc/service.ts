import type { ServerCall } from "./server-call.js";

/** One method that the daemon may call, in raw messages: a service chooses its own codec. */
export interface SessionMethod {
  /** E.g. `DiffCopy`. */
  readonly name: string;
  /** Answers a call. Its end is the call's with status OK; what it throws becomes the status, see `statusOf`. */
  handle(call: ServerCall): Promise<void>;
}

/** A service that a session offers to the daemon. */
export interface Attachable {
  /** E.g. `moby.filesync.v1.FileSync`. */
  readonly name: string;
  readonly methods: readonly SessionMethod[];
}

/** The path under which a method is called, `/package.Service/Method`. */
export function methodPath(service: Attachable, method: SessionMethod): string {
  return `/${service.name}/${method.name}`;
}
