// Runs a command as a user would and measures it from outside.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const lookMs = 20;

/**
 * Runs a command to its end. Seconds are those of the whole process, from before it is started; the memory is the
 * largest resident size that any process of its tree had, in MB. Rejects with its output when it fails.
 */
export function measuredRun(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    let peakKb = 0;
    const look = () => {
      for (const pid of treeOf(child.pid)) peakKb = Math.max(peakKb, peakOf(pid));
    };
    const timer = setInterval(look, lookMs);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(timer);
      const seconds = (performance.now() - begun) / 1000;
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve({ seconds, peakMb: peakKb / 1000, text });
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}:\n${text.slice(-4000)}`));
    });
  });
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
