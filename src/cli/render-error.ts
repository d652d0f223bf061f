import pc from "picocolors";
import { SolveError } from "../engine/outputs.js";
import { formatCallSite, KilnError } from "../errors.js";
import { cleanText } from "./clean-text.js";
import { clipNote } from "./clip-note.js";
import { Interruption } from "./exit-codes.js";

/**
 * An error as the user reads it: what failed, the command, its last output, where in the recipe, what to do.
 *
 * An error that Kiln did not mean to throw comes with its stack and the request to report it.
 */
export function renderError(error: unknown): string {
  if (error instanceof Interruption) return pc.yellow(error.message);
  if (!(error instanceof KilnError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${pc.red("kiln: unexpected error, please report it")}\n${stack}`;
  }
  const lines = [`${pc.red(pc.bold("error"))} ${cleanText(error.message)} ${pc.dim(`[${error.code}]`)}`];
  if (error instanceof SolveError) {
    if (error.command !== undefined) lines.push(...indent("command", error.command));
    if (error.exitCode !== undefined) lines.push(`  exit code ${error.exitCode}`);
    for (const { filename, excerpt } of error.sources) {
      lines.push(`  ${pc.dim(`in ${cleanText(filename)}:`)}`);
      if (excerpt !== "") lines.push(...excerpt.split("\n").map((line) => `  ${cleanText(line)}`));
    }
    if (error.logTail.length > 0) {
      lines.push(`  ${pc.dim("last output:")}`);
      for (const clip of error.logClips)
        lines.push(`  ${pc.yellow(`(lines are missing: ${clipNote(clip)})`)}`);
      for (const line of error.logTail) lines.push(`  ${pc.dim("│")} ${cleanText(line)}`);
    }
  }
  if (error.location !== undefined) lines.push(`  at ${pc.cyan(formatCallSite(error.location))}`);
  if (error.hint !== undefined) lines.push(`  ${pc.green("hint:")} ${error.hint}`);
  return lines.join("\n");
}

function indent(label: string, text: string): readonly string[] {
  const [first = "", ...rest] = cleanText(text).trim().split("\n");
  const pad = " ".repeat(label.length + 3);
  return [`  ${label} ${pc.bold(first)}`, ...rest.map((line) => `${pad}${pc.bold(line)}`)];
}

/** The same error as data, for `--json`. */
export function errorToJson(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof KilnError)) {
    return {
      code: error instanceof Interruption ? "cancelled" : "internal",
      message: String((error as Error)?.message ?? error),
    };
  }
  const { code, message, hint, location } = error;
  if (!(error instanceof SolveError)) return { code, message, hint, location };
  const { step, command, exitCode, logTail, logClips, vertex, sources } = error;
  return {
    ...{ code, message, hint, location, step, command, exitCode, logTail, logClips, vertex },
    ...(sources.length === 0 ? {} : { sources }),
  };
}
