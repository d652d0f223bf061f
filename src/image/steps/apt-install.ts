import { argumentError, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { shellQuote } from "../shell-quote.js";
import { checkFlag, checkStepOptions, type StepOptions } from "../step-options.js";
import { aptMounts } from "./apt-mounts.js";

/** Options of `aptInstall`. */
export interface AptInstallOptions extends StepOptions {
  /** Install recommended packages too, as apt does by itself. Default true. */
  readonly recommends?: boolean | undefined;
}

/**
 * Installs Debian packages: update and install in one exec, package lists and downloads in cache mounts that
 * all builds on the daemon share, nothing of either left in the image.
 */
export const aptInstall: Step<readonly unknown[]> = defineStep({
  id: "aptInstall",
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<AptInstallOptions>("aptInstall", input);
    const checked = checkStepOptions("aptInstall", options, ["recommends"]);
    for (const item of items) checkPackage(item);
    const recommends = checkFlag("aptInstall", "recommends", options?.recommends, true);
    return { packages: [...new Set(items)], recommends, options: checked };
  },
  title: ({ packages }) => `aptInstall ${packages.join(" ")}`,
  options: ({ options }) => options,
  lower(chain, { packages, recommends }, context) {
    const install = [
      "apt-get",
      "install",
      "-y",
      ...(recommends ? [] : ["--no-install-recommends"]),
      "--",
      ...packages,
    ];
    const command = `apt-get update && ${install.map(shellQuote).join(" ")}`;
    return context.run(chain, {
      argv: ["/bin/sh", "-c", command],
      command,
      ...aptMounts(context.platform),
    });
  },
  traits: ({ packages }) => ({ packages: packages.map((spec) => ({ manager: "apt", spec })) }),
  modal: ({ packages }) => [
    modalLayer(["RUN apt-get update", `RUN apt-get install -y ${packages.map(shellQuote).join(" ")}`]),
  ],
});

function checkPackage(name: string): void {
  if (name.startsWith("-")) {
    throw argumentError("aptInstall", `"${name}" is a flag, not a package`, {
      hint: "Only package names go here; use runCommands for an apt-get command of your own.",
    });
  }
  if (!/^[a-z0-9][a-z0-9+.:~*-]*(?:[=/][A-Za-z0-9.+:~*-]+)?$/.test(name)) {
    throw argumentError("aptInstall", `${JSON.stringify(name)} is no Debian package name`, {
      hint: /\s/.test(name) ? "One string a package." : 'Write "git" or "git=1:2.39.*".',
    });
  }
}
