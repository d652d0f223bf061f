import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

let ownScope: string | undefined;

/**
 * Names this process for other processes, so that {@link isRunning} can tell whether what it left behind is still in
 * use: `SCOPE.PID.START`, fit for a file name. START is 0 where the system does not tell when a process began.
 */
export function processMark(): string {
  return `${scope()}.${process.pid}.${startOf(process.pid)?.start ?? "0"}`;
}

/**
 * Whether the process of a mark still runs. `undefined` if that cannot be known from here: it runs on another machine,
 * in another container, or before the last start of this machine; or the text is no mark.
 */
export function isRunning(mark: string): boolean | undefined {
  const [, where, id, start] = /^([0-9a-f]{12})\.(\d{1,10})\.(\d{1,20})$/.exec(mark) ?? [];
  if (where !== scope()) return undefined;
  try {
    process.kill(Number(id), 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  const found = startOf(Number(id));
  // Without start times, a process of that number is taken for the one that was meant.
  if (found === undefined) return start === "0";
  return !found.over && (start === "0" || found.start === start);
}

/** Process numbers mean something within one run of one machine, and one namespace of them. */
function scope(): string {
  ownScope ??= createHash("sha256")
    .update(
      [
        hostname(),
        readOr(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
        readOr(() => readlinkSync("/proc/self/ns/pid")),
      ].join("\n"),
    )
    .digest("hex")
    .slice(0, 12);
  return ownScope;
}

/** When a process began, in the kernel's ticks, and whether it is over and only waits to be fetched. Linux alone. */
function startOf(pid: number): { readonly start: string; readonly over: boolean } | undefined {
  const text = readOr(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is the program's name in brackets, with whatever is in it.
  const [state = "", ...fields] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const start = fields[18];
  return start === undefined ? undefined : { start, over: state === "Z" || state === "X" };
}

function readOr(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
