/** One instruction of a Dockerfile, as it is written. */
export interface Instruction {
  /** In upper case, e.g. `FROM`; empty for comments and blank lines. */
  readonly name: string;
  /** What follows the name, continued lines joined, heredocs left out. */
  readonly args: string;
  /** Its lines as they are, comments within included, heredocs not. */
  readonly head: string;
  /** The lines of its heredocs, with the words that end them. */
  readonly heredocs: readonly string[];
  /** 1-based. */
  readonly line: number;
}

const directive = /^#\s*(syntax|escape|check)\s*=(.*)$/i;

/**
 * Splits a Dockerfile into its instructions, as far as it takes to put one into another. Understands continued lines,
 * comments within them and heredocs; not another escape character than the backslash.
 */
export function splitInstructions(text: string): readonly Instruction[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const found: Instruction[] = [];
  let next = 0;
  while (next < lines.length) {
    const first = next;
    const joined = joinLines(lines, first);
    next = joined.next;
    const end = next;
    const [, name = "", args = ""] = /^\s*([A-Za-z]+)(?:\s+([\s\S]*))?$/.exec(joined.line) ?? [];
    if (mayHaveHeredocs(name, args)) {
      for (const { word, chomp } of heredocsOf(args)) {
        while (next < lines.length) {
          const line = lines[next] ?? "";
          next += 1;
          if ((chomp ? line.replace(/^\t+/, "") : line) === word) break;
        }
      }
    }
    found.push({
      name: name.toUpperCase(),
      args: args.trim(),
      head: lines.slice(first, end).join("\n"),
      heredocs: lines.slice(end, next),
      line: first + 1,
    });
  }
  return found;
}

/** The parser directives at the top of a Dockerfile, `# syntax=…` and the like, by their names. */
export function directivesOf(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.replace(/^\ufeff/, "").split(/\r?\n/)) {
    const [, name, value] = directive.exec(line) ?? [];
    if (name === undefined || value === undefined) break;
    found.set(name.toLowerCase(), value.trim());
  }
  return found;
}

function joinLines(lines: readonly string[], from: number): { readonly line: string; readonly next: number } {
  let line = "";
  let next = from;
  while (next < lines.length) {
    const current = lines[next] ?? "";
    next += 1;
    const isComment = /^\s*#/.test(current);
    if (isComment && next - 1 === from) return { line: "", next };
    if (isComment || (next - 1 > from && current.trim() === "")) continue;
    const continued = /\\[ \t]*$/.exec(current);
    line += continued === null ? current : current.slice(0, continued.index);
    if (continued === null) break;
  }
  return { line, next };
}

function mayHaveHeredocs(name: string, args: string): boolean {
  return /^(?:RUN|COPY|ADD)$/i.test(name) && args.includes("<<");
}

/** The heredocs that a line begins; `<<` within quotes begins none. */
export function heredocsOf(args: string): readonly { readonly word: string; readonly chomp: boolean }[] {
  return wordsOf(args).flatMap((raw) => {
    const match = /^\d*<<(-?)([^<]+)$/.exec(raw);
    const word = (match?.[2] ?? "").replaceAll(/["'\\]/g, "");
    return match === null || word === "" ? [] : [{ word, chomp: match[1] === "-" }];
  });
}

/** The words of a line between white space, quotes kept; what is within quotes is one word. */
export function wordsOf(line: string): readonly string[] {
  return line.match(/(?:"(?:\\.|[^"\\])*"?|'[^']*'?|\\.|[^\s"'\\])+/gs) ?? [];
}
