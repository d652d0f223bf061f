import { cleanPath, trimSpace } from "./go-path.js";

/**
 * Reads the text of an ignore file (`.dockerignore`) into patterns, as Docker does: a byte order mark is
 * dropped, lines that begin with `#` are comments (not after white space), white space around a pattern and
 * after its `!` is dropped, paths are cleaned and lose one leading slash.
 *
 * The patterns are not checked here; compiling them throws `ERR_KILN_INVALID_PATTERN`.
 */
export function parseIgnoreFile(text: string): readonly string[] {
  const patterns: string[] = [];
  for (const line of text.replace(/^\ufeff/, "").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const trimmed = trimSpace(line);
    if (trimmed === "") continue;
    const exception = trimmed.startsWith("!");
    const pattern = exception ? trimSpace(trimmed.slice(1)) : trimmed;
    patterns.push((exception ? "!" : "") + normalizePattern(pattern));
  }
  return patterns;
}

function normalizePattern(pattern: string): string {
  if (pattern === "") return "";
  const cleaned = cleanPath(pattern);
  return cleaned.length > 1 && cleaned.startsWith("/") ? cleaned.slice(1) : cleaned;
}
