import { posix } from "node:path";
import { argumentError, describe, splitVariadic } from "../check-args.js";
import { checkChannels, checkCondaPackages, condaMounts } from "../conda.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { shellQuote } from "../shell-quote.js";
import { checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `micromambaInstall`. */
export interface MicromambaInstallOptions extends StepOptions {
  /** A local file that names packages too: `environment.yml`, or a list of specs. */
  readonly specFile?: string | undefined;
  /** Channels to look in, first wins: names or addresses. Default: those of the image's own settings. */
  readonly channels?: readonly string[] | undefined;
}

/**
 * Installs conda packages into the image's base environment, in the order given. Downloads stay in a cache mount, and a
 * spec file is only there for the command.
 */
export const micromambaInstall: Step<readonly unknown[]> = defineStep({
  id: "micromambaInstall",
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<MicromambaInstallOptions>("micromambaInstall", input);
    const checked = checkStepOptions("micromambaInstall", options, ["specFile", "channels"]);
    const specFile = options?.specFile;
    if (
      specFile !== undefined &&
      (typeof specFile !== "string" || specFile === "" || specFile.includes("\0"))
    ) {
      throw argumentError("micromambaInstall", `specFile must be a path, got ${describe(specFile)}`, {
        hint: 'Write specFile: "environment.yml".',
      });
    }
    return {
      packages: [...new Set(checkCondaPackages("micromambaInstall", items))],
      specFile,
      channels: checkChannels("micromambaInstall", options?.channels),
      options: checked,
    };
  },
  title: ({ packages, specFile }) =>
    `micromambaInstall ${[...packages, ...(specFile === undefined ? [] : [`-f ${specFile}`])].join(" ")}`,
  options: ({ options }) => options,
  needs: ({ specFile }) => (specFile === undefined ? {} : { files: { spec: { path: specFile } } }),
  lower(chain, { packages, specFile, channels }, context) {
    // The file's name stays: micromamba tells its format by it.
    const target = specFile === undefined ? undefined : `/run/kiln/${baseName(specFile)}`;
    const content = target === undefined ? undefined : (context.file("spec") ?? "");
    const command = [
      "micromamba install --yes -n base",
      ...(target === undefined ? [] : [`-f ${shellQuote(target)}`]),
      ...channels.map((channel) => `-c ${shellQuote(channel)}`),
      ...packages.map(shellQuote),
    ].join(" ");
    return context.run(chain, {
      script: command,
      ...condaMounts(context.platform),
      files: target === undefined || content === undefined ? [] : [{ target, content }],
    });
  },
  traits: ({ packages, channels }) => ({
    packages: packages.map((spec) => ({ manager: "conda", spec })),
    urls: channels.filter((channel) => channel.includes("://")),
  }),
  modal({ packages, specFile, channels }) {
    const file = specFile === undefined ? undefined : `/${baseName(specFile)}`;
    const words = [
      "RUN micromamba install",
      ...packages.map(shellQuote),
      ...(file === undefined ? [] : [`-f ${file} -n base`]),
      ...channels.map((channel) => `-c ${channel}`),
      "--yes",
    ];
    return [
      file === undefined || specFile === undefined
        ? modalLayer([words.join(" ")])
        : modalLayer([`COPY ${file} ${file}`, words.join(" ")], { [file]: specFile }),
    ];
  },
});

function baseName(path: string): string {
  return posix.basename(path.replaceAll("\\", "/"));
}
