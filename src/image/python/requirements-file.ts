import { KilnError } from "../../errors.js";

/** A file that a requirements file includes. */
export interface RequirementInclude {
  /** `-r` or `-c`. */
  readonly flag: "-r" | "-c";
  /** The path as it stands there, without quotes. */
  readonly path: string;
}

/** A logical line of a requirements file: one or more physical ones. */
interface RequirementLine {
  /** Number of its first physical line, from 1. */
  readonly number: number;
  /** How many physical lines it has. */
  readonly height: number;
  /** Without comments and continuations. */
  readonly text: string;
}

/**
 * Text of a requirements file as pip decodes it: UTF-8, or UTF-16 with a mark (what PowerShell's `>` writes).
 *
 * Throws `ERR_KILN_FILE_INVALID`.
 */
export function decodeRequirements(content: Uint8Array, path: string): string {
  const [first, second] = content;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(content);
  } catch (cause) {
    throw new KilnError("ERR_KILN_FILE_INVALID", `${path} is no ${encoding.toUpperCase()} text`, {
      cause,
      hint: "Save it as UTF-8.",
    });
  }
}

/**
 * The files on this machine that a requirements file includes, in order. Those by address are none.
 *
 * Throws `ERR_KILN_FILE_INVALID`, with file and line, for what names files that no step has: `-e .`, `./package`,
 * `name @ file:///…`. An absolute path names something in the image, as on pip's command line.
 */
export function requirementIncludes(text: string, path: string): readonly RequirementInclude[] {
  return logicalLines(text).flatMap((line) => {
    const include = includeOf(line, path);
    if (include === undefined) refuseLocal(line, path);
    return include ?? [];
  });
}

/** The text with every include replaced; all other lines stay as they are, at their numbers. */
export function replaceIncludes(
  text: string,
  path: string,
  replacement: (include: RequirementInclude) => string,
): string {
  const lines = text.split("\n");
  for (const line of logicalLines(text)) {
    const include = includeOf(line, path);
    if (include === undefined) continue;
    const place = `${include.flag} ${replacement(include)}`;
    const rest = Array.from({ length: line.height - 1 }, () => "");
    lines.splice(line.number - 1, line.height, place, ...rest);
  }
  return lines.join("\n");
}

function logicalLines(text: string): readonly RequirementLine[] {
  const found: RequirementLine[] = [];
  let begun: { readonly number: number; readonly parts: string[] } | undefined;
  const end = (number: number): void => {
    if (begun === undefined) return;
    const joined = begun.parts
      .join("")
      .replace(/(?:^|\s+)#.*$/, "")
      .trim();
    if (joined !== "") found.push({ number: begun.number, height: number - begun.number + 1, text: joined });
    begun = undefined;
  };
  const lines = text.split("\n");
  for (const [index, raw] of lines.entries()) {
    const line = raw.replace(/\r$/, "");
    const isComment = /^\s*#/.test(line);
    begun ??= { number: index + 1, parts: [] };
    // As pip does: a comment ends a continuation, whatever it ends with.
    if (line.endsWith("\\") && !isComment) begun.parts.push(line.slice(0, -1));
    else {
      begun.parts.push(isComment ? ` ${line}` : line);
      end(index + 1);
    }
  }
  end(lines.length);
  return found;
}

function includeOf(line: RequirementLine, path: string): RequirementInclude | undefined {
  const match = /^(?:(-r|-c)\s*|--(requirement|constraint)(?:\s+|=\s*))(\S.*)$/.exec(line.text);
  if (match === null) return undefined;
  const [, short, long, rest = ""] = match;
  const flag = short === "-c" || long === "constraint" ? "-c" : "-r";
  const quoted = /^(["'])(.*)\1$/.exec(rest.trim());
  const target = quoted?.[2] ?? rest.trim();
  if (/^(?:https?|ftp):\/\//i.test(target)) return undefined;
  if (quoted === null && /\s/.test(target)) {
    throw invalid(path, line, "names more than one file", "Write one file a line; quote a name with blanks.");
  }
  if (target.includes("${") || /^[a-z][a-z+]*:\/\//i.test(target)) {
    throw invalid(path, line, "is no path that can be followed", "Write the path of the file.");
  }
  return { flag, path: target };
}

function refuseLocal(line: RequirementLine, path: string): void {
  const { text } = line;
  const editable = /^(?:-e\s*|--editable(?:\s+|=\s*))(\S.*)$/.exec(text)?.[1];
  if (
    editable !== undefined ? isLocalRequirement(editable) : !text.startsWith("-") && isLocalRequirement(text)
  ) {
    throw invalid(
      path,
      line,
      "is a path on this machine, which the step does not have",
      'Leave it out here; copy the package by addLocalDir(…, "/src", { copy: true }) and install it by runCommands("python -m pip install /src").',
    );
  }
  const links = /^(?:-f\s*|--find-links(?:\s+|=\s*))(\S.*)$/.exec(text)?.[1];
  if (links !== undefined && !/^["']?(?:\/|\$\{|[a-z][a-z+]*:\/\/)/i.test(links)) {
    throw invalid(
      path,
      line,
      "is a directory on this machine, which the step does not have",
      'Copy it by addLocalDir(…, "/wheels", { copy: true }) and write --find-links /wheels.',
    );
  }
}

/** Whether a requirement names files on this machine: `./package`, `x.whl`, `name @ file:///…`. */
export function isLocalRequirement(requirement: string): boolean {
  const unquoted = requirement.replace(/^(["'])(.*)\1$/, "$2");
  const address = /^[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*(.+)$/.exec(unquoted)?.[1];
  const [place = ""] = (address ?? unquoted).split(/\s*;|\s+/);
  if (place.startsWith("${") || place.startsWith("/")) return false;
  if (/^(?:[a-z]+\+)?file:/i.test(place)) return true;
  if (/^[a-z][a-z0-9+.-]*:/i.test(place) || /^git@/.test(place)) return false;
  const name = place.replace(/\[.*$/, "");
  return address !== undefined || /^[.~]|[/\\]/.test(name) || /\.(?:whl|zip|tar|tgz|tar\.\w+)$/i.test(name);
}

function invalid(path: string, line: RequirementLine, why: string, hint: string): KilnError {
  const shown = line.text.length > 100 ? `${line.text.slice(0, 99)}…` : line.text;
  return new KilnError("ERR_KILN_FILE_INVALID", `${path}:${line.number}: "${shown}" ${why}`, { hint });
}
