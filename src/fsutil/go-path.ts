import { posix } from "node:path";

const LEADING_SPACE = /^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const TRAILING_SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/;

/**
 * Go's `filepath.Clean` on Unix: the shortest spelling of a path without looking at the disk. An empty path
 * becomes `.`; there is no trailing slash except in `/`.
 */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

/** Go's `filepath.Join`: elements that are not empty, joined and cleaned. */
export function joinPath(...elements: readonly string[]): string {
  return cleanPath(posix.join(...elements));
}

/** Go's `strings.TrimSpace`: Unicode white space, which includes U+0085 and excludes U+FEFF. */
export function trimSpace(text: string): string {
  return text.replace(LEADING_SPACE, "").replace(TRAILING_SPACE, "");
}
