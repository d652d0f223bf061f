/** Whether a slash-separated path is absolute. */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/");
}

/**
 * The shortest equal path, with the results of Go's `path.Clean`: no empty, `.` or inner `..` parts, no trailing
 * slash, `.` for nothing.
 */
export function cleanPath(path: string): string {
  if (path === "") return ".";
  const rooted = isAbsolutePath(path);
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.length > 0 && kept[kept.length - 1] !== "..") kept.pop();
    else if (!rooted) kept.push("..");
  }
  const joined = kept.join("/");
  if (rooted) return `/${joined}`;
  return joined === "" ? "." : joined;
}

/** Joins parts with slashes and cleans the result, with the results of Go's `path.Join`: empty parts do not count. */
export function joinPath(...parts: readonly string[]): string {
  const present = parts.filter((part) => part !== "");
  return present.length === 0 ? "" : cleanPath(present.join("/"));
}
