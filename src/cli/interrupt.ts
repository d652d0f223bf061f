import { exitCodes, Interruption } from "./exit-codes.js";

/**
 * Runs a command with a signal that Ctrl-C and SIGTERM abort.
 *
 * The first one aborts and lets the command wind up; a second one ends the process at once.
 */
export async function withInterrupt<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const handle = (name: "SIGINT" | "SIGTERM"): void => {
    if (controller.signal.aborted)
      process.exit(name === "SIGINT" ? exitCodes.interrupted : exitCodes.terminated);
    controller.abort(new Interruption(name));
  };
  const onInterrupt = (): void => handle("SIGINT");
  const onTerminate = (): void => handle("SIGTERM");
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  try {
    return await run(controller.signal);
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onTerminate);
  }
}
