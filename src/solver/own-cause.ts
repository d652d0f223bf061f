import { KilnError } from "../errors.js";
import { isDockerHub } from "../session/credentials.js";
import type { SessionServices } from "./session-services.js";
import { SolveError } from "./solve-error.js";

/**
 * The problem on this side that the daemon's error is an echo of, if there is one: its text is in the error,
 * or the error is about a secret that could not be given (the daemon says only that it is missing), or about a registry
 * for which credentials could not be had.
 */
export function ownCause(
  error: unknown,
  { problems, credentialProblems }: Pick<SessionServices, "problems" | "credentialProblems">,
): unknown {
  if (!(error instanceof SolveError) || error.exitCode !== undefined) return error;
  const isEcho = (problem: unknown): boolean =>
    problem instanceof KilnError &&
    (error.message.includes(problem.message) ||
      (problem.code.startsWith("ERR_KILN_SECRET") && /secret .*: not found/.test(error.message)));
  return problems.find(isEcho) ?? credentialsCause(error, credentialProblems) ?? error;
}

/** Registries tell who is not logged in that they refuse, or that there is no such image. */
function credentialsCause(
  { code, message }: SolveError,
  credentialProblems: ReadonlyMap<string, KilnError>,
): KilnError | undefined {
  if (code !== "ERR_KILN_UNAUTHORIZED" && code !== "ERR_KILN_IMAGE_NOT_FOUND") return undefined;
  for (const [host, problem] of credentialProblems) {
    if (message.includes(host) || (isDockerHub(host) && message.includes("docker.io"))) return problem;
  }
  return undefined;
}
