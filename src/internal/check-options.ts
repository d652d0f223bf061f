import { KilnError } from "../errors.js";
import { captureCallSite } from "./call-site.js";

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
    const near = nearestKey(key, allowed);
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

function nearestKey(key: string, allowed: readonly string[]): string | undefined {
  const plain = key.replaceAll(/[_-]/g, "").toLowerCase();
  const exact = allowed.find((candidate) => candidate.toLowerCase() === plain);
  if (exact !== undefined) return exact;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(key.length / 4)) + 1;
  for (const candidate of allowed) {
    const distance = editDistance(plain, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
