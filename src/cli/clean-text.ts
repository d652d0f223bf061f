import { stripVTControlCharacters } from "node:util";

/** Text from a daemon or a build step, fit for a terminal: escape sequences and control characters removed. */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[^\P{Cc}\n\t]/gu, "");
}

/** The last state of a line that a program redrew with carriage returns, e.g. a progress bar. */
export function lastRedraw(line: string): string {
  const trimmed = line.replace(/\r+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("\r") + 1);
}
