import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How {@link runCommand} runs a program. */
export interface RunCommandOptions {
  readonly cwd?: string | undefined;
  /** The whole environment; this process's own when absent. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Ends the program with SIGTERM; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears each line of both streams. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** What a program that ended left. */
export interface CommandResult {
  /** The exit code; 128 and more when a signal ended it. */
  readonly code: number;
  /** The last 200 lines of both streams. */
  readonly lines: readonly string[];
}

const KEPT_LINES = 200;

/**
 * Runs a program without a shell and with nothing on its standard input, and waits for its end.
 *
 * A failing program is no error: look at `code`. Rejects when the program cannot be started at all, and with
 * `signal`'s reason, once the program has ended, when that aborts.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: RunCommandOptions = {},
): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on("line", (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      options.onLine?.(line);
    });
  }
  const stop = (): void => void child.kill("SIGTERM");
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exit) => resolve(exit ?? 128));
    });
    options.signal?.throwIfAborted();
    return { code, lines };
  } finally {
    options.signal?.removeEventListener("abort", stop);
  }
}
