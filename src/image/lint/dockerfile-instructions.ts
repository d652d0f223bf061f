/** An instruction of a Dockerfile, as far as lint looks into it. */
export interface ImageInstruction {
  /** In capitals: `RUN`. */
  readonly name: string;
  /** `--mount=…` and the like, in order. */
  readonly flags: readonly string[];
  /** The rest, continued lines joined; the text of a heredoc follows its line. */
  readonly text: string;
}

/**
 * The instructions of a Dockerfile's text: comments and empty lines left out, continuations and heredocs joined. What is
 * wrong in it is for the frontend to say: nothing is refused.
 */
export function dockerfileInstructions(source: string): readonly ImageInstruction[] {
  const lines = source.split(/\r?\n/);
  const found: ImageInstruction[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const first = lines[at] ?? "";
    if (isComment(first) || first.trim() === "") continue;
    let joined = first;
    while (/\\\s*$/.test(joined) && at + 1 < lines.length) {
      at += 1;
      if (!isComment(lines[at] ?? "")) joined = joined.replace(/\\\s*$/, "") + (lines[at] ?? "");
    }
    joined = joined.trim();
    const body: string[] = [];
    for (const [, dash, , end = ""] of joined.matchAll(/<<(-?)(["']?)([A-Za-z_]\w*)\2/g)) {
      while (at + 1 < lines.length) {
        at += 1;
        const line = lines[at] ?? "";
        if ((dash === "-" ? line.replace(/^\t+/, "") : line) === end) break;
        body.push(line);
      }
    }
    const [, name = "", rest = ""] = /^(\S+)\s*([\s\S]*)$/.exec(joined) ?? [];
    const [leading = ""] = /^(?:--\S+\s+)*/.exec(rest) ?? [];
    found.push({
      name: name.toUpperCase(),
      flags: leading.split(/\s+/).filter((flag) => flag !== ""),
      text: [rest.slice(leading.length), ...body].join("\n"),
    });
  }
  return found;
}

function isComment(line: string): boolean {
  return /^\s*#/.test(line);
}
