import type { RunRequest } from "../lower-context.js";
import { shellQuote } from "../shell-quote.js";
import { jsonForm } from "./quote-words.js";

/** What a command is written with. */
export interface RunSurroundings {
  /** `--mount=…` and the like. */
  readonly flags: readonly string[];
  /** Variables of this command alone. */
  readonly env: readonly (readonly [string, string])[];
  /** Directory of this command alone. */
  readonly dir: string | undefined;
  /** The image's shell, where the chain has set it. */
  readonly shell: readonly string[] | undefined;
}

/** Shells that read `export NAME=value` and `cd`. */
const posixShell = /(?:^|\/)(?:ash|bash|dash|ksh|sh|zsh)$/;

/**
 * A RUN instruction: a script for the image's own shell where it may be one, else the exec form. Variables and directory of
 * the command alone are set by the shell, so that nothing of them stays.
 */
export function runInstruction(request: RunRequest, surroundings: RunSurroundings): string {
  const { flags, shell } = surroundings;
  const head = ["RUN", ...flags].join(" ");
  const setup = setupOf(surroundings);
  if ("argv" in request) return `${head} ${jsonForm(withSetup(request.argv, setup))}`;
  // Of a base's own shell nothing is known; all but a few are of this kind.
  const takesSetup = shell === undefined || posixShell.test(shell[0] ?? "");
  if (setup.length > 0 && !takesSetup) {
    return `${head} ${jsonForm(withSetup([...shell, request.script], setup))}`;
  }
  return scriptForm(head, [...setup, request.script].join("\n"));
}

function setupOf({ env, dir }: RunSurroundings): readonly string[] {
  return [
    ...(env.length === 0
      ? []
      : [`export ${env.map(([key, value]) => `${key}=${shellQuote(value)}`).join(" ")}`]),
    // The daemon makes a command's directory if need be.
    ...(dir === undefined ? [] : [`mkdir -p ${shellQuote(dir)} && cd ${shellQuote(dir)} || exit 1`]),
  ];
}

function withSetup(argv: readonly string[], setup: readonly string[]): readonly string[] {
  if (setup.length === 0) return argv;
  const [program = "", flag, script] = argv;
  if (argv.length === 3 && posixShell.test(program) && flag === "-c") {
    return [program, flag, [...setup, script].join("\n")];
  }
  return ["/bin/sh", "-c", [...setup, 'exec "$@"'].join("\n"), "sh", ...argv];
}

function scriptForm(head: string, script: string): string {
  const isPlain =
    !/[\r\n]|<</.test(script) &&
    !script.endsWith("\\") &&
    !/^(?:--|\[)/.test(script) &&
    script === script.trim();
  if (isPlain) return `${head} ${script}`;
  const lines = script.split(/\r?\n/);
  const word = heredocWord(lines);
  // With `#!` first, the script would be run as a file, not by the image's shell.
  const body = script.startsWith("#!") ? `\n${script}` : script;
  return `${head} <<'${word}'\n${body}${body.endsWith("\n") ? "" : "\n"}${word}`;
}

/** A word that ends a heredoc of these lines. */
export function heredocWord(lines: readonly string[]): string {
  for (let number = 0; ; number += 1) {
    const word = number === 0 ? "EOF" : `EOF${number}`;
    if (!lines.includes(word)) return word;
  }
}
