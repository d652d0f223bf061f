import type { Command } from "commander";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";
import { chooseView, progressModes } from "../progress/choose-view.js";

/** Adds `kiln attach`. */
export function addAttachCommand(program: Command): void {
  const command = program
    .command("attach")
    .description("show the progress of a build that runs, from its beginning, until it ends")
    .argument("<ref>", "the build, as kiln history ls --running lists it")
    .option("--progress <mode>", `${progressModes.join(", ")}`, "auto")
    .addHelpText("after", "\nFails as the build does. Ctrl-C leaves the build alone.");
  addConnectFlags(command).action((ref: string, flags: ConnectFlags & { readonly progress: string }) =>
    withInterrupt(async (signal) => {
      const view = chooseView(flags.progress);
      const error = await withEngine(flags, async (engine) => {
        const client = await engine.client();
        try {
          for await (const event of client.follow(ref, { signal })) view.show(event);
          return await client.historyError(ref, { wait: true, signal });
        } finally {
          view.close();
          if (signal.aborted) process.stderr.write(`the build goes on: kiln attach ${ref}\n`);
        }
      });
      if (error !== undefined) throw error;
    }),
  );
}
