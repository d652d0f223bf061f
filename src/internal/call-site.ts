import { fileURLToPath } from "node:url";
import type { CallSite } from "../errors.js";

// `src/` when run from source, `dist/` when built: frames below it are ours, not the user's.
const ownRoot = fileURLToPath(new URL("..", import.meta.url));

/**
 * The nearest stack frame that lies outside Kiln, i.e. the user's call.
 *
 * Returns `undefined` when there is none (a REPL, or a stack cut short). Costs about ten microseconds.
 */
export function captureCallSite(): CallSite | undefined {
  const limit = Error.stackTraceLimit;
  const prepare = Error.prepareStackTrace;
  let frames: readonly NodeJS.CallSite[] = [];
  try {
    Error.stackTraceLimit = 30;
    Error.prepareStackTrace = (_error, structured) => structured;
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, captureCallSite);
    if (Array.isArray(holder.stack)) frames = holder.stack as readonly NodeJS.CallSite[];
  } finally {
    Error.stackTraceLimit = limit;
    Error.prepareStackTrace = prepare;
  }
  for (const frame of frames) {
    const name = frame.getFileName() ?? frame.getScriptNameOrSourceURL();
    if (name === null || name === undefined || name.startsWith("node:")) continue;
    const file = name.startsWith("file:") ? fileURLToPath(name) : name;
    if (file.startsWith(ownRoot)) continue;
    const line = frame.getLineNumber();
    const column = frame.getColumnNumber();
    if (line === null || column === null) continue;
    return { file, line, column };
  }
  return undefined;
}
