import type { Command } from "commander";
import { clipNote } from "../clip-note.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";

interface RunFlags extends ConnectFlags {
  readonly ref?: string;
  readonly entrypoint?: string;
  readonly workdir?: string;
}

/** Adds `kiln run`. */
export function addRunCommand(program: Command): void {
  const command = program
    .command("run")
    .description("run a command over an image in an OCI layout, on the daemon; its exit code is ours")
    .argument("<layout>", "the directory")
    .argument("[args...]", "arguments for the image's entrypoint (default: its command)")
    .option("--ref <tag>", "tag or digest in the layout (default: its only image)")
    .option("--entrypoint <program>", "program to run instead of the image's entrypoint")
    .option("--workdir <dir>", "directory to run in");
  addConnectFlags(command).action((layout: string, args: readonly string[], flags: RunFlags) =>
    withInterrupt(async (signal) => {
      process.exitCode = await withEngine(flags, async (engine) => {
        const run = engine.run(
          { dir: layout, ref: flags.ref },
          {
            ...(args.length === 0 ? {} : { args }),
            ...(flags.entrypoint === undefined ? {} : { entrypoint: [flags.entrypoint] }),
            ...(flags.workdir === undefined ? {} : { workdir: flags.workdir }),
            signal,
          },
        );
        const clipped = new Set<string>();
        for await (const event of run) {
          if (event.type === "log")
            (event.stream === "stderr" ? process.stderr : process.stdout).write(event.text);
          if (event.type !== "log.clipped" || clipped.has(event.stream)) continue;
          clipped.add(event.stream);
          process.stderr.write(`kiln: ${clipNote(event)}\n`);
        }
        return (await run.result).exitCode;
      });
    }),
  );
}
