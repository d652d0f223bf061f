import { randomId } from "../../internal/random-id.js";
import type { ForceFact } from "../../model/facts.js";

/**
 * Whether a whole chain runs again: by the build's own options, else by the environment's `KILN_IGNORE_CACHE`, or
 * `KILN_FORCE_BUILD` and its alias `MODAL_FORCE_BUILD`. A variable counts unless it is empty, `0` or `false`.
 */
export function forceFact(
  options: { readonly forceBuild?: boolean | undefined; readonly ignoreCache?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): ForceFact | undefined {
  const told = options.forceBuild !== undefined || options.ignoreCache !== undefined;
  const apart = told ? options.ignoreCache === true : isSet(env["KILN_IGNORE_CACHE"]);
  if (apart) return { kind: "apart", nonce: randomId() };
  const replace = told
    ? options.forceBuild === true
    : isSet(env["KILN_FORCE_BUILD"]) || isSet(env["MODAL_FORCE_BUILD"]);
  return replace ? { kind: "replace" } : undefined;
}

function isSet(value: string | undefined): boolean {
  return !["", "0", "false"].includes((value ?? "").toLowerCase());
}
