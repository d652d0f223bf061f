import { formatPlatform } from "../../oci/platform.js";
import type { CacheMount, LowerContext, RunRequest, RunRequestParts } from "../lower-context.js";
import { findPython, needPip } from "./find-python.js";

/** Environment of commands that run pip. */
export const pipEnv: readonly (readonly [string, string])[] = [
  ["PIP_BREAK_SYSTEM_PACKAGES", "1"],
  ["PIP_ROOT_USER_ACTION", "ignore"],
  ["PIP_DISABLE_PIP_VERSION_CHECK", "1"],
  ["PIP_NO_INPUT", "1"],
  ["PIP_CACHE_DIR", "/root/.cache/pip"],
  // Installed packages are compiled all the same; this is for the tools themselves, which are not to grow the image.
  ["PYTHONDONTWRITEBYTECODE", "1"],
];

/** Where pip keeps downloads and the wheels that it built. */
export function pipCache(context: LowerContext): CacheMount {
  const id = `kiln-pip-cache-${formatPlatform(context.platform)}`;
  return { target: "/root/.cache/pip", id, sharing: "shared" };
}

/** A command that runs `pip install` with these arguments, as a shell reads them. */
export function pipRun(
  call: string,
  args: readonly string[],
  context: LowerContext,
  more: RunRequestParts & { readonly before?: readonly string[] | undefined } = {},
): RunRequest {
  const install = `-m pip install ${args.join(" ")}`;
  const { before = [], ...parts } = more;
  return {
    ...parts,
    script: [findPython(call), needPip(call), ...before, `"$py" ${install}`].join("\n"),
    command: `python ${install}`,
    env: [...pipEnv, ...(parts.env ?? [])],
    caches: [pipCache(context), ...(parts.caches ?? [])],
  };
}
