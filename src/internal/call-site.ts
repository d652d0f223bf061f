import { fileURLToPath } from "node:url";
import type { CallSite } from "../errors.js";

// `src/` when run from source, `dist/` when built: frames below it are ours, not the user's.
const ownRoot = fileURLToPath(new URL("..", import.meta.url));

const framePattern = /^\s*at (?:.*?\()?((?:file:\/\/)?\/.*?|[A-Za-z]:\\.*?):(\d+):(\d+)\)?$/;

/** The place that all calls count as made at, while {@link withCallSite} runs. */
let fixed: CallSite | undefined;

/** A function of any kind, to be found on the stack. */
export type Callee = (...args: never) => unknown;

/**
 * The nearest stack frame that lies outside Kiln, i.e. the user's call; with `callee` the nearest one that also lies
 * outside the call of that function, `undefined` if it is not being called.
 *
 * Read from the stack as text: that is where TypeScript loaders and `--enable-source-maps` put the lines of
 * the user's own source. Returns `undefined` when there is none (a REPL, or a stack cut short). Costs some
 * ten microseconds.
 */
export function captureCallSite(callee?: Callee): CallSite | undefined {
  if (fixed !== undefined) return fixed;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30;
  const trace = new Error("call site");
  if (callee !== undefined) Error.captureStackTrace(trace, callee);
  const stack = trace.stack ?? "";
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

/** Has all calls that the body makes count as made at this place; within another such call, at that one's. */
export function withCallSite<T>(site: CallSite, body: () => T): T {
  if (fixed !== undefined) return body();
  fixed = site;
  try {
    return body();
  } finally {
    fixed = undefined;
  }
}
