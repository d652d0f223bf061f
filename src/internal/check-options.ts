import { KilnError } from "../errors.js";
import { captureCallSite } from "./call-site.js";
import { nearestText } from "./nearest-text.js";

/**
 * Refuses keys that an options object must not have.
 *
 * `call` names the method for the message, `allowed` lists its keys. A snake_case spelling or a near miss of
 * an allowed key gets that key as the hint. Throws `ERR_KILN_UNKNOWN_OPTION` with the user's call site, or
 * `ERR_KILN_INVALID_ARGUMENT` when `options` is no plain object at all.
 */
export function checkOptions(call: string, options: unknown, allowed: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${call}: options must be an object`, {
      hint: `Pass an options object with any of: ${allowed.join(", ")}.`,
      location: captureCallSite(),
    });
  }
  for (const key of Object.keys(options)) {
    if (allowed.includes(key)) continue;
    const near = nearestText(key, allowed);
    throw new KilnError("ERR_KILN_UNKNOWN_OPTION", `${call}: unknown option "${key}"`, {
      hint:
        near === undefined
          ? allowed.length === 0
            ? `${call} takes no options.`
            : `It takes: ${allowed.join(", ")}.`
          : `Did you mean "${near}"?`,
      location: captureCallSite(),
    });
  }
}
