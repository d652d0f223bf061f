/** A value in a sentence is at most this long. */
const longest = 60;

/** The change of a text in one line: `a → b`, where they are long from shortly before the first difference on. */
export function textChange(before: string, after: string, quoted = false): string {
  const [a, b] = [withoutMark(before), withoutMark(after)];
  // What was masked differs, and nothing else.
  if (a === b) return a.includes(mask) ? "what is masked" : "";
  const show = (text: string): string => (quoted ? `"${text}"` : text === "" ? '""' : text);
  if (isDigest(a) && isDigest(b)) return `${shortDigest(a)} → ${shortDigest(b)}`;
  if (a.length <= longest && b.length <= longest) return `${show(oneLine(a))} → ${show(oneLine(b))}`;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  const start = same > 24 ? same - 16 : 0;
  const window = (text: string): string => {
    const part = text.slice(start, start + longest);
    return `${start > 0 ? "…" : ""}${oneLine(part)}${start + longest < text.length ? "…" : ""}`;
  };
  return `${show(window(a))} → ${show(window(b))}`;
}

/** A text in one line, cut where it is long. */
export function shortText(text: string): string {
  const line = oneLine(withoutMark(text));
  if (isDigest(line)) return shortDigest(line);
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

/** A digest as it is recognised: `sha256:0123456789ab…`. */
export function shortDigest(digest: string): string {
  return digest.length > 19 ? `${digest.slice(0, 19)}…` : digest;
}

/** The first three parts, and how many more there are of `count`. */
export function listed(parts: readonly string[], count: number = parts.length): string {
  const shown = parts.slice(0, 3);
  const more = count - shown.length;
  return more > 0 ? `${shown.join(", ")} … and ${more.toLocaleString("en-US")} more` : shown.join(", ");
}

const mask = "***";

/** Without the digest by which masked texts differ. */
function withoutMark(text: string): string {
  return text.includes(mask) ? text.replace(/ \[[0-9a-f]{8}\]$/, "") : text;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, " ⏎ ");
}

function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}
