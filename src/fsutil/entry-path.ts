import { KilnError } from "../errors.js";

/** Linux's limits, without the final NUL that they count. */
const MAX_PATH_BYTES = 4095;
const MAX_NAME_BYTES = 255;

/**
 * Refuses a path from outside that is not a clean relative one: empty, absolute, with `.`, `..` or empty
 * components, with NUL, or longer than Linux takes (4,095 bytes; 255 a component). A backslash is a
 * character like any other.
 *
 * Throws `ERR_KILN_UNSAFE_PATH`.
 */
export function checkEntryPath(path: string): void {
  const problem = problemWith(path);
  if (problem === undefined) return;
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  throw new KilnError("ERR_KILN_UNSAFE_PATH", `refused the path ${JSON.stringify(shown)}: ${problem}`);
}

function problemWith(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.startsWith("/")) return "it is absolute";
  if (path.includes("\0")) return "it contains a NUL";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`;
  for (const name of path.split("/")) {
    if (name === "..") return "it leads out of the directory";
    if (name === "" || name === ".") return "it is not clean";
    // Counted only where it can matter: a character has at most three bytes a UTF-16 unit.
    if (name.length * 3 > MAX_NAME_BYTES && Buffer.byteLength(name) > MAX_NAME_BYTES) {
      return `a name in it is longer than ${MAX_NAME_BYTES} bytes`;
    }
  }
  return undefined;
}

/**
 * Refuses a symlink target from outside that no symlink can have: empty, with NUL, or too long. Where it
 * leads does not matter, as no link is ever followed while writing.
 *
 * Throws `ERR_KILN_UNSAFE_PATH`.
 */
export function checkLinkTarget(path: string, target: string): void {
  const bad = target === "" || target.includes("\0") || Buffer.byteLength(target) > MAX_PATH_BYTES;
  if (!bad) return;
  throw new KilnError("ERR_KILN_UNSAFE_PATH", `refused the target of the symlink ${JSON.stringify(path)}`);
}

/** Splits a path into the directory it lies in (empty at the top) and its last name. */
export function splitPath(path: string): readonly [directory: string, name: string] {
  const slash = path.lastIndexOf("/");
  return [path.slice(0, Math.max(slash, 0)), path.slice(slash + 1)];
}
