import { dirname, join } from "node:path";
import { KilnError } from "../../errors.js";
import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import {
  checkDockerfileOptions,
  contextNeeds,
  type DockerfileStepOptions,
  readsContext,
} from "./dockerfile-options.js";

/** Options of `Image.fromDockerfile`. */
export interface FromDockerfileOptions extends DockerfileStepOptions {
  /** The stage to build. Default the last. */
  readonly target?: string | undefined;
}

/** Input of the `fromDockerfile` step. */
export interface FromDockerfileInput {
  readonly path: string;
  readonly options: FromDockerfileOptions | undefined;
}

/**
 * Starts from what a Dockerfile makes, by the daemon's own Dockerfile frontend: all instructions, stages and heredocs that
 * it knows. Commands run as the Dockerfile's USER.
 */
export const fromDockerfile: Step<FromDockerfileInput> = defineStep({
  id: "fromDockerfile",
  version: 1,
  validate({ path, options }: FromDockerfileInput) {
    const call = "fromDockerfile";
    if (typeof path !== "string" || path === "" || path.includes("\0") || /[/\\]$/.test(path)) {
      throw argumentError(call, `needs the path of a Dockerfile, got ${describe(path)}`, {
        hint: 'Write Image.fromDockerfile("./Dockerfile").',
      });
    }
    const checked = checkDockerfileOptions(call, options, ["target"]);
    const target = options?.target;
    if (target !== undefined && (typeof target !== "string" || target.trim() === "")) {
      throw argumentError(call, `target must be the name of a stage, got ${describe(target)}`);
    }
    return { path, target, ...checked };
  },
  title: ({ path, target }) => `fromDockerfile ${path}${target === undefined ? "" : ` (${target})`}`,
  options: ({ options }) => options,
  needs: (args) => {
    const { path, contextDir } = args;
    const found = [join(dirname(path), ".dockerignore"), join(contextDir, ".dockerignore")];
    const context = contextNeeds(args, [`${path}.dockerignore`, ...found]);
    return { ...context, files: { dockerfile: { path }, ...context.files } };
  },
  lower: (chain, { path, target, buildArgs }, context) =>
    context.dockerfile(chain, {
      key: "dockerfile",
      text: context.file("dockerfile") ?? "",
      filename: path,
      context: "context",
      target,
      buildArgs,
    }),
  modal: ({ path, contextDir }, context) => {
    const text = context.file(path);
    if (text === undefined) {
      throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `fromDockerfile: there is no file ${path}`, {
        hint: "Check the path, and what readFile makes of it.",
      });
    }
    const commands = text.split("\n");
    const contextFiles: Readonly<Record<string, string>> = readsContext(commands)
      ? { "/**": contextDir }
      : {};
    return [
      { commands, contextFiles },
      { commands: ["FROM base"], contextFiles: {} },
    ];
  },
});
