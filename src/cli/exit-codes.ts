import { KilnError } from "../errors.js";

/** What the process exits with; `docs/cli.md` lists them for users. */
export const exitCodes = {
  ok: 0,
  /** The build, solve or command failed. */
  failed: 1,
  /** Wrong arguments or a recipe that cannot be loaded. */
  usage: 2,
  /** No daemon, or none that answers. */
  noDaemon: 3,
  /** A bug in Kiln. */
  internal: 70,
  interrupted: 130,
  terminated: 143,
} as const;

const usageCodes: ReadonlySet<string> = new Set([
  "ERR_KILN_INVALID_ARGUMENT",
  "ERR_KILN_UNKNOWN_OPTION",
  "ERR_KILN_RELATIVE_PATH",
  "ERR_KILN_COPY_REQUIRED",
  "ERR_KILN_INVALID_REFERENCE",
  "ERR_KILN_INVALID_PLATFORM",
  "ERR_KILN_INVALID_DIGEST",
  "ERR_KILN_INVALID_PATTERN",
  "ERR_KILN_INVALID_ADDRESS",
  "ERR_KILN_INVALID_DEFINITION",
  "ERR_KILN_FILE_NOT_FOUND",
  "ERR_KILN_RECIPE",
]);

const daemonCodes: ReadonlySet<string> = new Set([
  "ERR_KILN_NO_DAEMON",
  "ERR_KILN_CONNECT_FAILED",
  "ERR_KILN_CONNECTION_LOST",
  "ERR_KILN_TLS",
  "ERR_KILN_DOCKER_CONTEXT",
]);

/** The exit code for an error that ended a command. */
export function exitCodeFor(error: unknown): number {
  if (error instanceof Interruption) return error.exitCode;
  if (!(error instanceof KilnError)) return exitCodes.internal;
  if (usageCodes.has(error.code)) return exitCodes.usage;
  return daemonCodes.has(error.code) ? exitCodes.noDaemon : exitCodes.failed;
}

/** The reason with which a signal to the process aborts what it does. */
export class Interruption extends Error {
  readonly exitCode: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(signal === "SIGINT" ? "cancelled" : "terminated");
    this.exitCode = signal === "SIGINT" ? exitCodes.interrupted : exitCodes.terminated;
  }
}
