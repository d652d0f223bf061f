import { resolve } from "node:path";
import type { Command } from "commander";
import { addChainFlags, type ChainFlags, chainOptions } from "../chain-flags.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";
import { loadRecipe } from "../recipe.js";

interface PlanFlags extends ConnectFlags, ChainFlags {
  readonly platform?: string;
  readonly cwd: string;
}

/** Adds `kiln plan`. */
export function addPlanCommand(program: Command): void {
  const command = program
    .command("plan")
    .description("show what a build would run, and the image's config; runs nothing")
    .argument("<recipe>", "FILE[#export]: .ts, .mts, .js or .mjs; the default export unless named")
    .option("--platform <platform>", "e.g. linux/arm64 (default: the daemon's)")
    .option("--cwd <dir>", "what relative paths are relative to", ".");
  addConnectFlags(addChainFlags(command)).action((recipe: string, flags: PlanFlags) =>
    withInterrupt(async (signal) => {
      const cwd = resolve(flags.cwd);
      const image = await loadRecipe(recipe, process.cwd());
      const { connect, build } = chainOptions(flags);
      const plan = await withEngine(
        flags,
        (engine) => engine.plan(image, { ...build, platform: flags.platform, cwd, signal }),
        connect,
      );
      process.stdout.write(plan.toSnapshot());
    }),
  );
}
