import { resolve } from "node:path";
import type { Command } from "commander";
import type { BuildResult } from "../../engine/build.js";
import { isImage, parseAnnotation } from "../annotation-spec.js";
import { addChainFlags, type ChainFlags, chainOptions } from "../chain-flags.js";
import { cleanText } from "../clean-text.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { follow } from "../follow.js";
import { withInterrupt } from "../interrupt.js";
import { parseOutput } from "../output-spec.js";
import { chooseView, progressModes } from "../progress/choose-view.js";
import { formatDuration } from "../progress/frame.js";
import { loadRecipe } from "../recipe.js";
import { imageIdOf, metadataOf, writeResultFile } from "../result-files.js";
import { addSolveFlags, collect, parseSolveFlags, type SolveFlags } from "../solve-flags.js";
import { wrongFlag } from "../spec-fields.js";

interface BuildFlags extends ConnectFlags, SolveFlags, ChainFlags {
  readonly output: readonly string[];
  readonly platform?: string;
  readonly progress: string;
  readonly cwd: string;
  readonly json?: boolean;
  readonly annotation: readonly string[];
  readonly metadataFile?: string;
  readonly iidfile?: string;
  readonly publish?: string;
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
    .option("--annotation <spec>", "[LEVEL:]KEY=VALUE on every image; repeatable", collect, [])
    .option("--metadata-file <file>", "write what the daemon says of the result, as JSON")
    .option("--iidfile <file>", "write the image's id")
    .option("--publish <name>", "keep the result under a name on this machine, for Image.fromName")
    .addHelpText(
      "after",
      `
Outputs:
  oci:DIR              OCI layout directory; oci:FILE.tar for a tar
  registry:NAME        push
  docker-image:NAME    an image in the Docker that builds
  docker:FILE          tar for docker load
  local:DIR  tar:FILE  the files alone
  type=registry,name=NAME,compression=zstd,compression-level=3,force-compression=true,registry.insecure=true

Caches:
  type=registry,ref=NAME[,mode=max]  type=local,dest=DIR (from: src=DIR)  type=inline
  type=gha,…  type=s3,bucket=…  type=azblob,…; with --cache-to also compression=…,ignore-error=true

Examples:
  kiln build image.ts -o oci:./out
  kiln build image.ts#web -o type=registry,name=localhost:5000/web:1,compression=estargz
  kiln build image.ts --cache-to type=registry,ref=localhost:5000/web:cache,mode=max
  kiln build image.ts -o registry:localhost:5000/web:1 --provenance mode=max --secret id=token,env=TOKEN`,
    );
  addConnectFlags(addSolveFlags(addChainFlags(command))).action((recipe: string, flags: BuildFlags) =>
    withInterrupt(async (signal) => {
      const cwd = resolve(flags.cwd);
      const annotations = flags.annotation.flatMap(parseAnnotation);
      const outputs = flags.output.map((text) => parseOutput(text, annotations));
      if (flags.iidfile !== undefined && !outputs.some(isImage)) {
        throw wrongFlag("--iidfile", "no output is an image", "Add one, e.g. -o oci:./out.");
      }
      if (annotations.length > 0 && !outputs.some(isImage)) {
        throw wrongFlag("--annotation", "no output is an image", "Add one, e.g. -o oci:./out.");
      }
      const solve = await parseSolveFlags(flags, { env: process.env, cwd });
      const view = chooseView(flags.progress);
      let result: BuildResult;
      try {
        const image = await loadRecipe(recipe, process.cwd());
        const { connect, build } = chainOptions(flags);
        const { publish } = flags;
        const name = recipe;
        const options = { ...solve, ...build, name, publish, outputs, platform: flags.platform, cwd, signal };
        result = await withEngine(flags, (engine) => follow(engine.build(image, options), view), connect);
      } finally {
        view.close();
      }
      const { metadataFile, iidfile } = flags;
      if (metadataFile !== undefined) {
        await writeResultFile(
          resolve(cwd, metadataFile),
          `${JSON.stringify(metadataOf(result), undefined, 2)}\n`,
        );
      }
      if (iidfile !== undefined) await writeResultFile(resolve(cwd, iidfile), imageIdOf(result) ?? "");
      if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
      else process.stderr.write(`${summary(result)}\n`);
    }),
  );
}

/** Some lines about a finished build: what it made, and why each step ran that did, as far as that is recorded. */
export function summary(result: BuildResult): string {
  const { cached, ran, steps } = result.cache;
  const what = result.verified ? "up to date, checked in" : "built in";
  const lines = [`${what} ${formatDuration(result.durationMs)}: ${ran} steps ran, ${cached} cached`];
  for (const { index, id, cause } of steps) {
    if (cause === undefined) continue;
    lines.push(`  step ${index + 1} ${cleanText(`${id}: ${cause.text}`).replaceAll(/\s+/g, " ")}`);
  }
  for (const { type, target, digest } of result.outputs) {
    lines.push(`  ${type} ${target}${digest === undefined ? "" : `@${digest}`}`);
  }
  for (const { name, error } of result.ignoredFailures)
    lines.push(`  warning: ${cleanText(`${name}: ${error}`)}`);
  if (result.outputs.length === 0) lines.push("  nothing was written: add -o to keep the result");
  return lines.join("\n");
}
