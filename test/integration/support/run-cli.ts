import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A finished run of the built CLI. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run of the built CLI under way. */
export interface CliRun {
  readonly child: ChildProcess;
  readonly done: Promise<CliResult>;
  /** Resolves once standard error has held the text. */
  stderrHas(text: string): Promise<void>;
  /** Resolves once standard output has held the text. */
  stdoutHas(text: string): Promise<void>;
}

const main = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

/** Options of {@link startCli}. */
export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: Uint8Array;
}

/** Starts the CLI as users run it: the built file, in a process of its own. */
export function startCli(args: readonly string[], options: CliOptions = {}): CliRun {
  const env = { ...process.env, NO_COLOR: "1", ...options.env };
  const child = spawn(process.execPath, [main, ...args], { env, cwd: options.cwd, stdio: "pipe" });
  const out: Buffer[] = [];
  let stderr = "";
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const look of waiting.splice(0)) look();
  };
  child.stdout.on("data", (chunk: Buffer) => {
    out.push(chunk);
    wake();
  });
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    stderr += text;
    wake();
  });
  child.stdin.end(options.input);
  const done = new Promise<CliResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      wake();
      resolve({ code, stdout: Buffer.concat(out).toString("utf8"), stderr });
    });
  });
  const has = async (text: string, printed: () => string): Promise<void> => {
    while (!printed().includes(text)) {
      if (child.exitCode !== null) throw new Error(`the CLI ended without printing ${text}:\n${stderr}`);
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return {
    child,
    done,
    stderrHas: (text) => has(text, () => stderr),
    stdoutHas: (text) => has(text, () => Buffer.concat(out).toString("utf8")),
  };
}

/** Runs the CLI to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).done;
}
