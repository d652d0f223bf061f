import { compareBytes } from "../../llb/byte-order.js";
import { argumentError, describe } from "../check-args.js";

/**
 * Checks names of Python packages, as pip takes them on its command line, and sorts them as Python does: their order
 * means nothing, so that it must not make another step. One that is there twice stays so, for Modal's rendering.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a flag, an empty string or one of several lines.
 */
export function checkPackages(call: string, packages: readonly string[]): readonly string[] {
  for (const name of packages) checkPackage(call, name);
  return [...packages].sort(compareBytes);
}

/** Sorted packages, each once. */
export function distinct(packages: readonly string[]): readonly string[] {
  return [...new Set(packages)];
}

function checkPackage(call: string, name: string): void {
  const text = name.trim();
  if (text.startsWith("-")) {
    const rest = text.startsWith("-r ") || text.startsWith("--requirement");
    throw argumentError(call, `${JSON.stringify(name)} is a flag, not a package`, {
      hint: rest
        ? 'Use pipInstallFromRequirements("requirements.txt") for a file.'
        : `Only packages go here; put flags into extraOptions: ${JSON.stringify(text)}.`,
    });
  }
  if (text === "" || /[\0\n\r]/.test(text)) {
    throw argumentError(call, `${describe(name)} is no package`, {
      hint: 'One string a package: "torch<3", "diffusers[torch]", "git+https://github.com/org/repo@v1".',
    });
  }
}
