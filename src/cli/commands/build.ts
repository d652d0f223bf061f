import { resolve } from "node:path";
import type { Command } from "commander";
import type { BuildResult } from "../../engine/build.js";
import type { Output } from "../../engine/outputs.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { follow } from "../follow.js";
import { withInterrupt } from "../interrupt.js";
import { parseOutput } from "../output-spec.js";
import { chooseView, progressModes } from "../progress/choose-view.js";
import { formatDuration } from "../progress/frame.js";
import { loadRecipe } from "../recipe.js";

interface BuildFlags extends ConnectFlags {
  readonly output: readonly string[];
  readonly platform?: string;
  readonly progress: string;
  readonly cwd: string;
  readonly json?: boolean;
}

/** Adds `kiln build`. */
export function addBuildCommand(program: Command): void {
  const command = program
    .command("build")
    .description("build the image that a recipe exports")
    .argument("<recipe>", "FILE[#export]: .ts, .mts, .js or .mjs; the default export unless named")
    .option("-o, --output <spec>", "what to write; repeatable (see below)", collect, [])
    .option("--platform <platform>", "e.g. linux/arm64 (default: the daemon's)")
    .option("--progress <mode>", `${progressModes.join(", ")}`, "auto")
    .option("--cwd <dir>", "what relative paths are relative to", ".")
    .option("--json", "print the result as JSON on standard output")
    .addHelpText(
      "after",
      `
Outputs:
  oci:DIR              OCI layout directory; oci:FILE.tar for a tar
  registry:NAME        push
  docker:FILE          tar for docker load
  local:DIR  tar:FILE  the files alone
  type=registry,name=NAME,compression=zstd,compression-level=3,force-compression=true,registry.insecure=true

Examples:
  kiln build image.ts -o oci:./out
  kiln build image.ts#web -o type=registry,name=localhost:5000/web:1,compression=estargz`,
    );
  addConnectFlags(command).action((recipe: string, flags: BuildFlags) =>
    withInterrupt(async (signal) => {
      const cwd = resolve(flags.cwd);
      const outputs: readonly Output[] = flags.output.map(parseOutput);
      const view = chooseView(flags.progress);
      let result: BuildResult;
      try {
        const image = await loadRecipe(recipe, process.cwd());
        result = await withEngine(flags, async (engine) => {
          return follow(engine.build(image, { outputs, platform: flags.platform, cwd, signal }), view);
        });
      } finally {
        view.close();
      }
      if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
      else process.stderr.write(`${summary(result)}\n`);
    }),
  );
}

/** Two or three lines about a finished build. */
export function summary(result: BuildResult): string {
  const { cached, ran } = result.cache;
  const lines = [`built in ${formatDuration(result.durationMs)}: ${ran} steps ran, ${cached} cached`];
  for (const { type, target, digest } of result.outputs) {
    lines.push(`  ${type} ${target}${digest === undefined ? "" : `@${digest}`}`);
  }
  if (result.outputs.length === 0) lines.push("  nothing was written: add -o to keep the result");
  return lines.join("\n");
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}
