import { checkLocalPath } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import {
  checkPipOptions,
  modalPipFlags,
  type PipOptions,
  pipFlags,
  pipOptionKeys,
  pipUrls,
} from "../python/pip-options.js";
import { pipRun } from "../python/pip-run.js";
import { requirementNeeds, requirementsMount } from "../python/requirements-mount.js";
import { checkStepOptions } from "../step-options.js";

/** Options of `pipInstallFromRequirements`. */
export type PipInstallFromRequirementsOptions = PipOptions;

/** Input of the `pipInstallFromRequirements` step. */
export interface PipInstallFromRequirementsInput {
  readonly path: string;
  readonly options: PipInstallFromRequirementsOptions | undefined;
}

const call = "pipInstallFromRequirements";

/** Installs what a local requirements file names; it and the files that it includes are mounted, not copied. */
export const pipInstallFromRequirements: Step<PipInstallFromRequirementsInput> = defineStep({
  id: call,
  version: 1,
  validate({ path, options }: PipInstallFromRequirementsInput) {
    const checked = checkStepOptions(call, options, pipOptionKeys);
    return {
      path: checkLocalPath(call, path, '"requirements.txt"'),
      pip: checkPipOptions(call, options),
      options: checked,
    };
  },
  title: ({ path }) => `${call} ${path}`,
  options: ({ options }) => options,
  needs: ({ path }, context) => requirementNeeds([path], context),
  lower(chain, { path, pip }, context) {
    const { dir, paths } = requirementsMount([path], context);
    const args = [...paths.map((file) => `-r ${file}`), ...pipFlags(pip)];
    return context.run(chain, pipRun(call, args, context, { dirs: [dir] }));
  },
  traits: ({ pip }) => ({ urls: pipUrls(pip) }),
  modal({ path, pip }) {
    // Modal names the links twice, once without quotes.
    const links = pip.findLinks === undefined ? "" : ` -f ${pip.findLinks}`;
    return [
      modalLayer(
        [
          "COPY /.requirements.txt /.requirements.txt",
          `RUN python -m pip install -r /.requirements.txt${links} ${modalPipFlags(pip)}`.trim(),
        ],
        { "/.requirements.txt": path },
      ),
    ];
  },
});
