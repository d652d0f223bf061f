import type { SourceDetail, SourceRange } from "../rpc/status-details.js";

/** A place in the text that a failed op was made from: a Dockerfile's line, mostly. */
export interface FailedSource {
  readonly filename: string;
  /** 1-based lines. */
  readonly ranges: readonly SourceRange[];
  /** The lines with two before and after them, numbered, those meant marked by `>>>`; empty if the text is not known. */
  readonly excerpt: string;
}

const around = 2;
/** A file can hold anything. */
const widest = 200;
const longest = 40;

/** The place that a daemon's error names. */
export function failedSource({ filename, ranges, text }: SourceDetail): FailedSource {
  return { filename, ranges, excerpt: text === "" ? "" : excerptOf(text.split(/\r?\n/), ranges) };
}

function excerptOf(lines: readonly string[], ranges: readonly SourceRange[]): string {
  const starts = ranges.map(({ startLine }) => startLine).filter((line) => line >= 1 && line <= lines.length);
  if (starts.length === 0) return "";
  const first = Math.max(1, Math.min(...starts) - around);
  const end = Math.max(...ranges.map(({ startLine, endLine }) => Math.max(startLine, endLine)));
  const last = Math.min(lines.length, end + around, first + longest);
  const shown: string[] = [];
  for (let line = first; line <= last; line += 1) {
    const isMeant = ranges.some(
      ({ startLine, endLine }) => line >= startLine && line <= Math.max(startLine, endLine),
    );
    const text = lines[line - 1] ?? "";
    // What follows the file's last line break is no line.
    if (line === lines.length && text === "") break;
    const cut = text.length > widest ? `${text.slice(0, widest)}…` : text;
    shown.push(`${isMeant ? ">>>" : "   "} ${String(line).padStart(String(last).length)} | ${cut}`);
  }
  return shown.join("\n");
}
