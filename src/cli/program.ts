import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addAttachCommand } from "./commands/attach.js";
import { addBuildCommand } from "./commands/build.js";
import { addDiskUsageCommand } from "./commands/disk-usage.js";
import { addEngineCommand } from "./commands/engine.js";
import { addHistoryCommand } from "./commands/history.js";
import { addLlbCommand } from "./commands/llb.js";
import { addPruneCommand } from "./commands/prune.js";
import { addQuickstartCommand } from "./commands/quickstart.js";
import { addRunCommand } from "./commands/run.js";
import { addWorkersCommand } from "./commands/workers.js";
import { exitCodeFor, exitCodes } from "./exit-codes.js";
import { errorToJson, renderError } from "./render-error.js";

/**
 * Runs the command line and returns the exit code.
 *
 * Results go to standard output, progress and errors to standard error.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const program = createProgram();
  try {
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: errorToJson(error) })}\n`);
    process.stderr.write(`${renderError(error)}\n`);
    return exitCodeFor(error);
  }
}

function createProgram(): Command {
  const program = new Command("kiln")
    .description("Builds container images from TypeScript recipes on a stock BuildKit.")
    .version(packageVersion(), "-V, --version")
    .showHelpAfterError("(kiln --help lists the commands)")
    .exitOverride()
    .addHelpText(
      "after",
      `
Exit codes: 0 done, 1 the build failed, 2 wrong use, 3 no BuildKit, 130 Ctrl-C.

  kiln engine up                            set up a private BuildKit (Debian, as root)
  kiln build image.ts -o oci:./out          build a recipe's default export
  kiln run ./out -- python -m app           run a command in the result`,
    );
  addBuildCommand(program);
  addRunCommand(program);
  addAttachCommand(program);
  addHistoryCommand(program);
  addDiskUsageCommand(program);
  addPruneCommand(program);
  addWorkersCommand(program);
  addEngineCommand(program);
  addLlbCommand(program);
  addQuickstartCommand(program);
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return String((JSON.parse(text) as { version?: unknown }).version);
}
