import { KilnError } from "../../errors.js";
import { compareBytes } from "../../llb/byte-order.js";
import { checkLocalPath } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { checkGroupNames } from "../python/group-names.js";
import { distinct } from "../python/package-list.js";
import {
  checkPipOptions,
  modalPipFlags,
  type PipOptions,
  pipFlags,
  pipOptionKeys,
  pipUrls,
} from "../python/pip-options.js";
import { pipRun } from "../python/pip-run.js";
import { packagesOf, projectDependencies } from "../python/pyproject.js";
import { readToml } from "../python/toml.js";
import { shellQuote } from "../shell-quote.js";
import { checkStepOptions } from "../step-options.js";

/** Options of `pipInstallFromPyproject`. */
export interface PipInstallFromPyprojectOptions extends PipOptions {
  /** Groups of `[project.optional-dependencies]` to install as well. */
  readonly optionalDependencies?: readonly string[] | undefined;
}

/** Input of the `pipInstallFromPyproject` step. */
export interface PipInstallFromPyprojectInput {
  readonly path: string;
  readonly options: PipInstallFromPyprojectOptions | undefined;
}

const call = "pipInstallFromPyproject";

/** Installs the dependencies that a local `pyproject.toml` lists, not the project itself. */
export const pipInstallFromPyproject: Step<PipInstallFromPyprojectInput> = defineStep({
  id: call,
  version: 1,
  validate({ path, options }: PipInstallFromPyprojectInput) {
    const checked = checkStepOptions(call, options, [...pipOptionKeys, "optionalDependencies"]);
    return {
      path: checkLocalPath(call, path, '"pyproject.toml"'),
      groups: checkGroupNames(call, "optionalDependencies", options?.optionalDependencies),
      pip: checkPipOptions(call, options),
      options: checked,
    };
  },
  title: ({ path, groups }) => `${call} ${path}${groups.length === 0 ? "" : ` [${groups.join(", ")}]`}`,
  options: ({ options }) => options,
  needs: ({ path }) => ({ files: { pyproject: { path } } }),
  lower(chain, { path, groups, pip }, context) {
    const toml = readToml(context.file("pyproject") ?? "", path);
    const packages = packagesOf(projectDependencies(toml, path), groups, path);
    if (packages.length === 0) return chain;
    const sorted = distinct([...packages].sort(compareBytes));
    return context.run(chain, pipRun(call, [...sorted.map(shellQuote), ...pipFlags(pip)], context));
  },
  traits: ({ pip }) => ({ urls: pipUrls(pip) }),
  modal({ path, groups, pip }, context) {
    const text = context.file(path);
    if (text === undefined) {
      throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `${call}: there is no ${path}`, {
        hint: "readFile has to find it by the path that the chain has.",
      });
    }
    // Modal passes over groups that do not exist.
    const { dependencies, optional } = projectDependencies(readToml(text, path), path);
    const packages = [...dependencies, ...groups.flatMap((name) => optional.get(name) ?? [])];
    const list = packages.sort(compareBytes).map(shellQuote).join(" ");
    return [modalLayer([`RUN python -m pip install ${list} ${modalPipFlags(pip)}`.trim()])];
  },
});
