import { checkOptions } from "../../internal/check-options.js";
import { modalPins } from "../builder-version.js";
import { argumentError } from "../check-args.js";
import { condaMounts } from "../conda.js";
import { defineStep, type Step } from "../define-step.js";
import { checkPythonVersion } from "../python-version.js";
import { checkStepOptions, type StepOptions, stepOptionKeys } from "../step-options.js";

/** Options of `Image.micromamba`. */
export interface MicromambaOptions extends Omit<StepOptions, "gpu"> {
  /** A series (`"3.12"`) or a full version (`"3.12.4"`) of conda-forge's Python. Default: the builder version's. */
  readonly pythonVersion?: string | undefined;
}

const shell = ["/usr/local/bin/_dockerfile_shell.sh"];
const sleep = ["sleep", "172800"];

/**
 * Starts from micromamba with Python and pip of conda-forge in its base environment, as Modal's `micromamba` does.
 *
 * The base's own user is not used: steps and containers run as root. Its shell activates the environment.
 */
export const micromamba: Step<MicromambaOptions | undefined> = defineStep({
  id: "micromamba",
  version: 1,
  validate(given: MicromambaOptions | undefined) {
    checkOptions("micromamba", given, [...stepOptionKeys, "pythonVersion"]);
    if (given !== undefined && "gpu" in given) {
      throw argumentError("micromamba", "a base has no use for a device", {
        code: "ERR_KILN_UNKNOWN_OPTION",
        hint: "Give gpu to the step that needs it.",
      });
    }
    if (given?.pythonVersion === "auto") {
      throw argumentError("micromamba", 'pythonVersion cannot be "auto" here', {
        hint: 'Write a series, e.g. "3.12".',
      });
    }
    return {
      pythonVersion: checkPythonVersion("micromamba", given?.pythonVersion),
      options: checkStepOptions("micromamba", given, ["pythonVersion"]),
    };
  },
  title: ({ pythonVersion }) => `micromamba${pythonVersion === undefined ? "" : ` ${pythonVersion}`}`,
  options: ({ options }) => options,
  needs: ({ options }, { builder }) => ({
    bases: {
      base: { kind: "registry", ref: `docker.io/${builder.micromamba}`, refresh: options.forceBuild },
    },
  }),
  lower(_chain, { pythonVersion }, context) {
    let chain = context.configure(context.base("base"), { kind: "shell", argv: shell });
    chain = context.configure(chain, {
      kind: "env",
      entries: [["MAMBA_DOCKERFILE_ACTIVATE", "1"]],
      expand: false,
    });
    chain = context.configure(chain, { kind: "user", user: "root" });
    const python = pythonVersion ?? context.builder.defaultPython;
    chain = context.run(chain, { script: install(python), ...condaMounts(context.platform) });
    return context.configure(chain, { kind: "cmd", argv: sleep, inherited: true });
  },
  traits: (_args, { builder }) => ({ baseRef: builder.micromamba, changes: "install" }),
  modal: ({ pythonVersion }, { builder }) => [
    {
      commands: [
        `FROM ${modalPins.micromamba}`,
        `SHELL ["${shell.join('", "')}"]`,
        "ENV MAMBA_DOCKERFILE_ACTIVATE=1",
        `RUN ${install(pythonVersion ?? builder.defaultPython)}`,
        `CMD ["${sleep.join('", "')}"]`,
      ],
      contextFiles: {},
    },
  ],
});

function install(python: string): string {
  return `micromamba install -n base -y python=${python} pip -c conda-forge`;
}
