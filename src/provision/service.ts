import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { writeWhole } from "./prefix.js";
import { startError } from "./setup-error.js";

/** A program that runs on behind this process. */
export interface ServiceSpec {
  /** What messages call it. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Holds pid and start time of what was started. */
  readonly stateFile: string;
  readonly logFile: string;
  /** Whether it answers. */
  readonly isHealthy: () => Promise<boolean>;
  /** Milliseconds it gets to answer for the first time. Default 60 s. */
  readonly startTimeoutMs?: number | undefined;
}

interface ServiceState {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`: tells the process from a later one with its number. */
  readonly startTime: string;
}

const pollMs = 100;
const stopTimeoutMs = 30_000;

/** The pid of a service that runs, was started by {@link startService} and is still that process. */
export async function runningPid(stateFile: string): Promise<number | undefined> {
  const text = await readFile(stateFile, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { pid, startTime } = JSON.parse(text) as ServiceState;
  return (await startTimeOf(pid)) === startTime ? pid : undefined;
}

/**
 * Starts a service in a session of its own and waits until it answers.
 *
 * Rejects with `ERR_KILN_ENGINE_START` and the end of its log when it exits or does not answer in time; what
 * was started is then stopped. With `signal`'s reason when that aborts.
 */
export async function startService(
  spec: ServiceSpec,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<number> {
  mkdirSync(dirname(spec.logFile), { recursive: true });
  const log = openSync(spec.logFile, "w");
  const child = spawn(spec.command, spec.args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: spec.env ?? process.env,
    cwd: "/",
  });
  closeSync(log);
  const spawned = new Promise<number>((resolve, reject) => {
    child.once("spawn", () => resolve(child.pid ?? -1));
    child.once("error", reject);
  });
  const pid = await spawned.catch((error: Error) => {
    throw startError(`${spec.name} cannot be started: ${error.message}`, spec.logFile, []);
  });
  child.unref();
  await writeWhole(spec.stateFile, JSON.stringify({ pid, startTime: (await startTimeOf(pid)) ?? "" }));
  const deadline = Date.now() + (spec.startTimeoutMs ?? 60_000);
  try {
    while (!(await spec.isHealthy())) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw startError(`${spec.name} ended while it started`, spec.logFile, await logTail(spec.logFile));
      }
      if (Date.now() > deadline) {
        throw startError(`${spec.name} does not answer`, spec.logFile, await logTail(spec.logFile));
      }
      await delay(pollMs, undefined, { signal: options.signal }).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        throw error;
      });
    }
    return pid;
  } catch (error) {
    await stopService(spec.stateFile);
    throw error;
  }
}

/** Stops a service that {@link startService} started: SIGTERM, then SIGKILL. Nothing to stop is no error. */
export async function stopService(stateFile: string): Promise<boolean> {
  const pid = await runningPid(stateFile);
  if (pid !== undefined) {
    kill(pid, "SIGTERM");
    const deadline = Date.now() + stopTimeoutMs;
    while ((await runningPid(stateFile)) !== undefined) {
      if (Date.now() > deadline) kill(pid, "SIGKILL");
      await delay(pollMs);
    }
  }
  await rm(stateFile, { force: true });
  return pid !== undefined;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return undefined;
  // The program's name, in brackets, may hold anything; the fields after it are plain.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

async function logTail(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-8);
}
