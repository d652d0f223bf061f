/** A text on one line of at most 120 characters, for titles. */
export function oneLine(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, " ⏎ ");
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}
