import { posix, relative, sep } from "node:path";
import { KilnError } from "../../errors.js";
import type { AppliedStep } from "../define-step.js";

/**
 * A local path of a step as a Dockerfile writes it: relative to the build context.
 *
 * Throws `ERR_KILN_UNSUPPORTED` for one outside it, and for names that COPY would read as patterns.
 */
export function contextPath(path: string, contextDir: string | undefined, step: AppliedStep): string {
  const refuse = (why: string, hint: string): KilnError =>
    new KilnError("ERR_KILN_UNSUPPORTED", `${step.title}: ${path} ${why}`, { hint, location: step.location });
  const isAbsolute = path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path);
  if (isAbsolute && contextDir === undefined) {
    throw refuse(
      "is absolute, and a Dockerfile's paths are relative to its build context",
      "Pass toDockerfile({ contextDir }) with the directory that docker build will be given.",
    );
  }
  const within = isAbsolute ? relative(contextDir ?? "", path).replaceAll(sep, "/") : path;
  const clean = posix.normalize(within.replace(/^\.\//, "")).replace(/\/$/, "") || ".";
  if (clean === ".." || clean.startsWith("../") || clean.startsWith("/")) {
    throw refuse(
      "is outside the build context, which is the directory that docker build is given",
      "Build from a directory above all local files, or copy them there.",
    );
  }
  if (/[*?[\]\\]/.test(clean)) {
    throw refuse("has characters that COPY reads as a pattern", "Rename it.");
  }
  return clean;
}
