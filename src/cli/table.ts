import { cleanText } from "./clean-text.js";
import { width } from "./progress/frame.js";

/** Lines of a table: columns as wide as their widest cell, the last one as long as it is. Cells are made fit for terminals. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((row) => row.map((cell) => cleanText(cell).replaceAll(/\s+/g, " ")));
  const widths = head.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ""))));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => pad(cell, widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function pad(cell: string, columns: number): string {
  return cell + " ".repeat(columns - width(cell));
}

/** A step's title in a table, cut where it is long. */
export function shortTitle(title: string): string {
  return title.length > 48 ? `${title.slice(0, 47)}…` : title;
}
