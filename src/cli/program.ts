import { Command, CommanderError } from "commander";
import { exitCodeFor, exitCodes } from "./exit-codes.js";
import { packageVersion } from "./package-version.js";

/** Adds a command to the program. */
type AddCommand = (program: Command) => void;

/** The commands, each loaded when it is wanted: what one needs makes up most of the time that another takes to start. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  build: async () => (await import("./commands/build.js")).addBuildCommand,
  plan: async () => (await import("./commands/plan.js")).addPlanCommand,
  explain: async () => (await import("./commands/explain.js")).addExplainCommand,
  run: async () => (await import("./commands/run.js")).addRunCommand,
  attach: async () => (await import("./commands/attach.js")).addAttachCommand,
  images: async () => (await import("./commands/images.js")).addImagesCommand,
  history: async () => (await import("./commands/history.js")).addHistoryCommand,
  du: async () => (await import("./commands/disk-usage.js")).addDiskUsageCommand,
  prune: async () => (await import("./commands/prune.js")).addPruneCommand,
  cache: async () => (await import("./commands/cache.js")).addCacheCommand,
  workers: async () => (await import("./commands/workers.js")).addWorkersCommand,
  engine: async () => (await import("./commands/engine.js")).addEngineCommand,
  lint: async () => (await import("./commands/lint.js")).addLintCommand,
  llb: async () => (await import("./commands/llb.js")).addLlbCommand,
  quickstart: async () => (await import("./commands/quickstart.js")).addQuickstartCommand,
};

/**
 * Runs the command line and returns the exit code.
 *
 * Results go to standard output, progress and errors to standard error.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const program = await createProgram(argv[2]);
  try {
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const { errorToJson, renderError } = await import("./render-error.js");
    if (argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: errorToJson(error) })}\n`);
    process.stderr.write(`${renderError(error)}\n`);
    return exitCodeFor(error);
  }
}

async function createProgram(wanted = ""): Promise<Command> {
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
  const names = Object.hasOwn(commands, wanted) ? [wanted] : Object.keys(commands);
  for (const add of await Promise.all(names.map((name) => commands[name]?.()))) add?.(program);
  return program;
}
