import { posix } from "node:path";

/** The patterns in the text of an ignore file, as `.dockerignore` files are read. */
export function ignoreLines(text: string): readonly string[] {
  return text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .flatMap((line) => {
      const trimmed = line.trim();
      if (line.startsWith("#") || trimmed === "") return [];
      const exception = trimmed.startsWith("!") ? "!" : "";
      const pattern = trimmed.slice(exception.length).trim();
      return pattern === "" ? [] : [`${exception}${posix.normalize(pattern).replace(/^\/(?=.)/, "")}`];
    });
}
