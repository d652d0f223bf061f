import { join, posix } from "node:path";
import { argumentError, describe, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { oneLine } from "../one-line.js";
import {
  checkDockerfileOptions,
  contextNeeds,
  type DockerfileStepOptions,
  mayReadContext,
  readsContext,
} from "./dockerfile-options.js";

/** Options of `dockerfileCommands`. */
export interface DockerfileCommandsOptions extends DockerfileStepOptions {
  /** Further files of the context: path in it to path on this machine. Nothing ignores them. */
  readonly contextFiles?: Readonly<Record<string, string>> | undefined;
}

/** What the chain so far is called in the lines. */
const baseName = "base";

/**
 * Runs lines of a Dockerfile on the chain so far, which they know as `base`, by the daemon's own frontend.
 *
 * A line may be several; heredocs and further stages are allowed. The chain goes on with the last stage.
 */
export const dockerfileCommands: Step<readonly unknown[]> = defineStep({
  id: "dockerfileCommands",
  version: 1,
  validate(input: readonly unknown[]) {
    const call = "dockerfileCommands";
    const { items, options } = splitVariadic<DockerfileCommandsOptions>(call, input);
    const checked = checkDockerfileOptions(call, options, ["contextFiles"]);
    for (const line of items) {
      if (line.includes("\0")) throw argumentError(call, "a line cannot hold a NUL character");
      if (!/^[ \t]*FROM\s.*\sAS\s+base\s*$/im.test(line)) continue;
      throw argumentError(call, `"${baseName}" is the chain so far, no name for a stage`, {
        hint: "Give the stage another name.",
      });
    }
    return { lines: items, contextFiles: checkContextFiles(call, options?.contextFiles), ...checked };
  },
  title: ({ lines }) => `dockerfileCommands ${oneLine(lines.join("\n"))}`,
  options: ({ options }) => options,
  needs: (args) => {
    const { lines, contextDir, contextFiles: files } = args;
    const unread = Object.keys(files).length === 0 && !mayReadContext(lines.join("\n"));
    return contextNeeds(args, [join(contextDir, ".dockerignore")], unread ? { files, unread } : { files });
  },
  lower: (chain, { lines, buildArgs }, context) =>
    context.dockerfile(chain, {
      key: "commands",
      text: `${[`FROM ${baseName}`, ...lines].join("\n")}\n`,
      context: "context",
      buildArgs,
      baseName,
    }),
  traits: ({ lines, contextFiles }) => ({
    commands: lines.map((text) => ({ kind: "dockerfile", text })),
    ...(readsContext(lines) || Object.keys(contextFiles).length > 0 ? { changes: "local" } : {}),
  }),
  modal: ({ lines, contextDir, contextFiles }) => {
    const files = Object.entries(contextFiles).map(([at, path]) => [`/${at}`, path] as const);
    const whole = readsContext(lines) ? { "/**": contextDir } : {};
    return [modalLayer(lines, { ...whole, ...Object.fromEntries(files) })];
  },
});

/** The files by their clean relative paths. */
function checkContextFiles(call: string, files: unknown): Readonly<Record<string, string>> {
  if (files === undefined) return {};
  const hint = 'Write contextFiles: { "/config.toml": "./local/config.toml" }.';
  if (typeof files !== "object" || files === null || Array.isArray(files)) {
    throw argumentError(call, `contextFiles must be paths by path, got ${describe(files)}`, { hint });
  }
  const entries = Object.entries(files).map(([at, local]: readonly [string, unknown]) => {
    const path = posix.normalize(at).replace(/^\/+/, "");
    if (path === "" || path === "." || path.endsWith("/") || /^\.\.(?:\/|$)|\0/.test(path)) {
      throw argumentError(call, `${JSON.stringify(at)} is no path of a file in the context`, { hint });
    }
    if (typeof local !== "string" || local === "" || local.includes("\0")) {
      throw argumentError(call, `the file for ${JSON.stringify(at)} must be a path, got ${describe(local)}`, {
        hint,
      });
    }
    return [path, local] as const;
  });
  return Object.fromEntries(entries);
}
