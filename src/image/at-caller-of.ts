import { type Callee, captureCallSite, withCallSite } from "../internal/call-site.js";
import { argumentError, describe } from "./check-args.js";

/**
 * For functions and methods that build chains for others: the steps that `body` adds, and what is wrong with them, have
 * the place where `callee` was called as their `location`, not a line of your own file.
 *
 * `callee` is the function that is being called; if it is not, places are found as always. Of several such calls within
 * each other, the outermost counts. `body` runs at once, and must not return a promise (`ERR_KILN_INVALID_ARGUMENT`).
 *
 * ```ts
 * export function withTool(image: Image, name: string): Image {
 *   return atCallerOf(withTool, () => image.step(installTool, { name }));
 * }
 * ```
 */
export function atCallerOf<T>(callee: Callee, body: () => T): T {
  if (typeof callee !== "function" || typeof body !== "function") {
    const wrong = typeof callee === "function" ? body : callee;
    throw argumentError("atCallerOf", `needs two functions, got ${describe(wrong)}`, {
      hint: "Write atCallerOf(withTool, () => image.step(…)) in the function withTool.",
    });
  }
  const site = captureCallSite(callee);
  const result = site === undefined ? body() : withCallSite(site, body);
  if (result instanceof Promise) {
    throw argumentError("atCallerOf", "the body returned a promise: what comes later has no place", {
      hint: "Await what you need first, then build the chain in it.",
    });
  }
  return result;
}
