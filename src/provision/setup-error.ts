import { KilnError } from "../errors.js";

/** What to run where Kiln cannot set up an engine by itself. */
export const OTHER_WAYS: string =
  "Or use a BuildKit that runs elsewhere: Docker 25 or later with the containerd image store needs no setting; " +
  "a BuildKit of its own is `docker run -d --privileged -p 127.0.0.1:1234:1234 moby/buildkit --addr tcp://0.0.0.0:1234` " +
  "with KILN_HOST=tcp://127.0.0.1:1234.";

/** An `ERR_KILN_ENGINE_SETUP` whose hint says what to do here and which other ways there are. */
export function setupError(message: string, hint: string, cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_ENGINE_SETUP", message, { hint: `${hint} ${OTHER_WAYS}`, cause });
}

/** An `ERR_KILN_ENGINE_START` with the last lines of the daemon's log in its message. */
export function startError(message: string, logPath: string, tail: readonly string[]): KilnError {
  const lines = tail.length === 0 ? "" : `\n${tail.map((line) => `  ${line}`).join("\n")}`;
  return new KilnError("ERR_KILN_ENGINE_START", `${message}${lines}`, {
    hint: `The whole log is ${logPath}. ${OTHER_WAYS}`,
  });
}
