import { fileURLToPath } from "node:url";
import type { CallSite } from "../errors.js";

// `src/` when run from source, `dist/` when built: frames below it are ours, not the user's.
const ownRoot = fileURLToPath(new URL("..", import.meta.url));

const framePattern = /^\s*at (?:.*?\()?((?:file:\/\/)?\/.*?|[A-Za-z]:\\.*?):(\d+):(\d+)\)?$/;

/**
 * The nearest stack frame that lies outside Kiln, i.e. the user's call.
 *
 * Read from the stack as text: that is where TypeScript loaders and `--enable-source-maps` put the lines of
 * the user's own source. Returns `undefined` when there is none (a REPL, or a stack cut short). Costs some
 * ten microseconds.
 */
export function captureCallSite(): CallSite | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30;
  const stack = new Error("call site").stack ?? "";
  Error.stackTraceLimit = limit;
  for (const frame of stack.split("\n")) {
    const [, where = "", line = "", column = ""] = framePattern.exec(frame) ?? [];
    if (where === "") continue;
    const file = where.startsWith("file:") ? fileURLToPath(where) : where;
    if (file.startsWith(ownRoot)) continue;
    return { file, line: Number(line), column: Number(column) };
  }
  return undefined;
}
