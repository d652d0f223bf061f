import { splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { checkPackages, distinct } from "../python/package-list.js";
import {
  checkPipOptions,
  modalPipFlags,
  type PipOptions,
  pipFlags,
  pipOptionKeys,
  pipUrls,
} from "../python/pip-options.js";
import { pipRun } from "../python/pip-run.js";
import { shellQuote } from "../shell-quote.js";
import { checkStepOptions } from "../step-options.js";

/** Options of `pipInstall`. */
export type PipInstallOptions = PipOptions;

/** Installs Python packages with the image's own pip; its downloads stay in a cache mount. */
export const pipInstall: Step<readonly unknown[]> = defineStep({
  id: "pipInstall",
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<PipInstallOptions>("pipInstall", input);
    const checked = checkStepOptions("pipInstall", options, pipOptionKeys);
    const packages = checkPackages("pipInstall", items);
    return { packages, pip: checkPipOptions("pipInstall", options), options: checked };
  },
  title: ({ packages }) => `pipInstall ${distinct(packages).join(" ")}`,
  options: ({ options }) => options,
  lower(chain, { packages, pip }, context) {
    const args = [...distinct(packages).map(shellQuote), ...pipFlags(pip)];
    return context.run(chain, pipRun("pipInstall", args, context));
  },
  traits: ({ packages, pip }) => ({
    packages: distinct(packages).map((spec) => ({ manager: "pip", spec })),
    urls: pipUrls(pip),
  }),
  modal: ({ packages, pip }) => [
    modalLayer([
      `RUN python -m pip install ${packages.map(shellQuote).join(" ")} ${modalPipFlags(pip)}`.trim(),
    ]),
  ],
});
