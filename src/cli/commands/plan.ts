import { resolve } from "node:path";
import type { Command } from "commander";
import { addChainFlags, type ChainFlags, chainOptions } from "../chain-flags.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";
import { parseOutput } from "../output-spec.js";
import { loadRecipe } from "../recipe.js";
import { renderForecast } from "../render-forecast.js";
import { collect } from "../solve-flags.js";

interface PlanFlags extends ConnectFlags, ChainFlags {
  readonly platform?: string;
  readonly cwd: string;
  readonly output: readonly string[];
  readonly snapshot?: boolean;
  readonly json?: boolean;
}

/** Adds `kiln plan`. */
export function addPlanCommand(program: Command): void {
  const command = program
    .command("plan")
    .description(
      "show what a build would run and why, what it would send, and how long that takes; runs nothing",
    )
    .argument("<recipe>", "FILE[#export]: .ts, .mts, .js or .mjs; the default export unless named")
    .option("--platform <platform>", "e.g. linux/arm64 (default: the daemon's)")
    .option("-o, --output <spec>", "as of kiln build: whether all of it is there already", collect, [])
    .option("--cwd <dir>", "what relative paths are relative to", ".")
    .option("--snapshot", "show the compiled plan instead: its ops and the image's config")
    .option("--json", "the forecast as JSON on standard output");
  addConnectFlags(addChainFlags(command)).action((recipe: string, flags: PlanFlags) =>
    withInterrupt(async (signal) => {
      const cwd = resolve(flags.cwd);
      const image = await loadRecipe(recipe, process.cwd());
      const { connect, build } = chainOptions(flags);
      const outputs = flags.output.map((text) => parseOutput(text, []));
      const plan = await withEngine(
        flags,
        (engine) =>
          engine.plan(image, { ...build, name: recipe, outputs, platform: flags.platform, cwd, signal }),
        connect,
      );
      if (flags.snapshot === true) process.stdout.write(plan.toSnapshot());
      else if (flags.json === true) process.stdout.write(`${JSON.stringify(plan.forecast)}\n`);
      else process.stdout.write(renderForecast(plan.forecast));
    }),
  );
}
