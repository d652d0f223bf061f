import { posix } from "node:path";
import { argumentError, checkStringList, describe, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { checkPackages, distinct } from "../python/package-list.js";
import { checkPipOptions, type PipOptions, pipOptionKeys, pipUrls, uvFlags } from "../python/pip-options.js";
import { requirementNeeds, requirementsMount } from "../python/requirements-mount.js";
import {
  checkUvOptions,
  modalUvCopy,
  type UvOptions,
  uvBases,
  uvOptionKeys,
  uvTool,
} from "../python/uv-tool.js";
import { shellQuote } from "../shell-quote.js";
import { checkStepOptions } from "../step-options.js";

/** Options of `uvPipInstall`. */
export interface UvPipInstallOptions extends PipOptions, UvOptions {
  /** Local requirements files, with all that they include. */
  readonly requirements?: readonly string[] | undefined;
}

const call = "uvPipInstall";

/** Installs Python packages with uv, which is not left in the image; its downloads stay in a cache mount. */
export const uvPipInstall: Step<readonly unknown[]> = defineStep({
  id: call,
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<UvPipInstallOptions>(call, input);
    const checked = checkStepOptions(call, options, [...pipOptionKeys, ...uvOptionKeys, "requirements"]);
    return {
      packages: checkPackages(call, items),
      requirements: checkRequirements(options?.requirements),
      pip: checkPipOptions(call, options),
      uv: checkUvOptions(call, options),
      options: checked,
    };
  },
  title: ({ packages, requirements }) =>
    [call, ...distinct(packages), ...requirements.map((path) => `-r ${path}`)].join(" "),
  options: ({ options }) => options,
  needs: ({ requirements, uv }, context) => ({
    ...requirementNeeds(requirements, context),
    bases: uvBases(uv, context.builder),
  }),
  lower(chain, { packages, requirements, pip, uv }, context) {
    const tool = uvTool(call, uv, context);
    const { dir, paths } = requirementsMount(requirements, context);
    const install = [
      ...["--compile-bytecode", "--link-mode=copy"],
      ...uvFlags(pip),
      ...paths.map((path) => `--requirements ${path}`),
      ...distinct(packages).map(shellQuote),
    ].join(" ");
    return context.run(chain, {
      ...tool,
      script: tool.script(`pip install --python "$py" ${install}`),
      command: `uv pip install ${install}`,
      dirs: paths.length === 0 ? [] : [dir],
    });
  },
  traits: ({ packages, pip }) => ({
    packages: distinct(packages).map((spec) => ({ manager: "pip", spec })),
    urls: pipUrls(pip),
  }),
  modal({ packages, requirements, pip, uv }) {
    const files = requirements.map((path, index) => {
      const name = posix.basename(path);
      return { path, copy: `/.${index}_${name}`, there: `/.uv/${index}/${name}` };
    });
    const install = [
      ...["--python $(command -v python)", "--compile-bytecode"],
      ...uvFlags(pip),
      ...files.map(({ there }) => `--requirements ${there}`),
      ...packages.map(shellQuote),
    ];
    return [
      modalLayer(
        [
          modalUvCopy(uv),
          ...files.map(({ copy, there }) => `COPY ${copy} ${there}`),
          `RUN /.uv/uv pip install ${install.join(" ")}`,
        ],
        Object.fromEntries(files.map(({ copy, path }) => [copy, path])),
      ),
    ];
  },
});

function checkRequirements(requirements: unknown): readonly string[] {
  if (requirements === undefined) return [];
  if (typeof requirements === "string") {
    throw argumentError(call, `requirements must be a list of paths, got ${describe(requirements)}`, {
      hint: `Write requirements: [${JSON.stringify(requirements)}].`,
    });
  }
  const paths = checkStringList(call, requirements, '{ requirements: ["requirements.txt"] }');
  if (!paths.includes("")) return paths;
  throw argumentError(call, "requirements holds an empty path", {
    hint: 'Write requirements: ["requirements.txt"].',
  });
}
