// Runs a command as a user would and measures it from outside.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const lookMs = 20;
const running = new Set();
let interrupted = false;

/**
 * Makes Ctrl-C and SIGTERM end the command that runs, and all later ones at once: the benchmark fails, and what it
 * started and made is taken away as after any failure.
 */
export function endOnInterrupt() {
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      interrupted = true;
      for (const child of running) endTree(child);
    });
  }
}

/** Rejects when the benchmark was interrupted. */
export function checkInterrupt() {
  if (interrupted) throw new Error("the benchmark was interrupted");
}

/**
 * Runs a command to its end. Seconds are those of the whole process, from before it is started; the memory is the
 * largest resident size that any process of its tree had, all its threads included, in MB. Rejects with its output when
 * it fails, and when it takes longer than `timeoutMs`.
 */
export function measuredRun(command, args, { timeoutMs, ...options } = {}) {
  return new Promise((resolve, reject) => {
    checkInterrupt();
    const begun = performance.now();
    // A group of its own, so that nothing of it is left when it takes too long.
    const child = spawn(command, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    let late = false;
    const watchdog =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            late = true;
            endTree(child);
          }, timeoutMs);
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    let peakKb = 0;
    const look = () => {
      for (const pid of treeOf(child.pid)) peakKb = Math.max(peakKb, peakOf(pid));
    };
    const timer = setInterval(look, lookMs);
    const end = () => {
      clearInterval(timer);
      clearTimeout(watchdog);
      running.delete(child);
    };
    child.on("error", (error) => {
      end();
      reject(error);
    });
    child.on("close", (code) => {
      end();
      const seconds = (performance.now() - begun) / 1000;
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve({ seconds, peakMb: peakKb / 1000, text });
      else {
        const how = late ? `was ended after ${timeoutMs / 1000} s` : `ended with ${code}`;
        reject(new Error(`${command} ${args.join(" ")} ${how}:\n${text.slice(-4000)}`));
      }
    });
  });
}

function endTree(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

function treeOf(root) {
  const pids = [root];
  for (const pid of pids) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8");
        pids.push(...children.split(" ").filter((text) => text !== ""));
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return pids;
}

/** The high-water mark of a process's resident memory, in kB of 1,024 bytes turned into kB of 1,000. */
function peakOf(pid) {
  try {
    return (
      (Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024) / 1000
    );
  } catch {
    return 0;
  }
}
