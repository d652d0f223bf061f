import { KilnError } from "../../errors.js";
import { checkLocalPath } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { checkGroupNames } from "../python/group-names.js";
import { checkExtraOptions } from "../python/pip-options.js";
import { readToml, tableAt } from "../python/toml.js";
import { inProject, uvProjectFiles, uvProjectNeeds } from "../python/uv-project.js";
import {
  checkUvOptions,
  modalUvCopy,
  type UvOptions,
  uvBases,
  uvOptionKeys,
  uvTool,
} from "../python/uv-tool.js";
import { checkFlag, checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `uvSync`. */
export interface UvSyncOptions extends StepOptions, UvOptions {
  /** Dependency groups to install beside the default ones: `--group`. */
  readonly groups?: readonly string[] | undefined;
  /** Groups of optional dependencies: `--extra`. */
  readonly extras?: readonly string[] | undefined;
  /** Take a `uv.lock` as it is. `false` lets uv bring it up to date for the build. Default true. */
  readonly frozen?: boolean | undefined;
  /** More options, as a shell reads them: `--no-dev --package api`. */
  readonly extraOptions?: string | undefined;
}

/** Input of the `uvSync` step. */
export interface UvSyncInput {
  /** Default: the build's working directory. */
  readonly dir: string | undefined;
  readonly options: UvSyncOptions | undefined;
}

const call = "uvSync";
const project = "/run/kiln/project";
const venv = "/opt/venv";

/**
 * Installs the dependencies of a uv project into `/opt/venv`, whose programs come first on the PATH from then on.
 *
 * Neither the project nor members of its workspace are installed: add their sources by a later step.
 */
export const uvSync: Step<UvSyncInput> = defineStep({
  id: call,
  version: 1,
  validate({ dir = "./", options }: UvSyncInput) {
    const checked = checkStepOptions(call, options, [
      ...uvOptionKeys,
      ...["groups", "extras", "frozen", "extraOptions"],
    ]);
    return {
      dir: checkLocalPath(call, dir, '"./", { groups: ["test"] }'),
      groups: checkGroupNames(call, "groups", options?.groups),
      extras: checkGroupNames(call, "extras", options?.extras),
      frozen: checkFlag(call, "frozen", options?.frozen, true),
      extraOptions: checkExtraOptions(call, options?.extraOptions),
      uv: checkUvOptions(call, options),
      options: checked,
    };
  },
  title: ({ dir, groups, extras }) =>
    [call, dir, ...flags({ groups, extras, extraOptions: undefined })].join(" "),
  options: ({ options }) => options,
  needs: ({ dir, uv }, context) => ({
    ...uvProjectNeeds(dir, context),
    bases: uvBases(uv, context.builder),
  }),
  lower(chain, args, context) {
    const files = uvProjectFiles(args, context);
    const tool = uvTool(call, args.uv, context);
    const sync = [
      ...["--no-install-workspace", "--compile-bytecode", "--link-mode=copy"],
      ...flags(args),
      ...(args.frozen && files.has("uv.lock") ? ["--frozen"] : []),
    ].join(" ");
    const next = context.run(chain, {
      ...tool,
      script: tool.script(`sync --project=${project} --python "$py" ${sync}`),
      command: `uv sync ${sync}`,
      env: [["UV_PROJECT_ENVIRONMENT", venv], ...tool.env],
      // Writable: without a lock file, uv writes one.
      dirs: [{ target: project, files, writable: true }],
    });
    return context.configure(next, { kind: "env", entries: [["PATH", `${venv}/bin:$PATH`]], expand: true });
  },
  traits: () => ({ changes: "install" }),
  modal(args, context) {
    const pyproject = inProject(args.dir, "pyproject.toml");
    const lock = inProject(args.dir, "uv.lock");
    const text = context.file(pyproject);
    if (text === undefined) {
      throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `${call}: there is no ${pyproject}`, {
        hint: "readFile has to find it by the path that the chain has.",
      });
    }
    if (tableAt(readToml(text, pyproject), "tool", "uv", "workspace") !== undefined) {
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `${call}: ${pyproject} is a workspace, which Modal refuses`,
        {
          hint: "Take toDockerfile(), which knows workspaces.",
        },
      );
    }
    const hasLock = context.file(lock) !== undefined;
    const sync = [
      ...["--project=/.uv", "--no-install-workspace", "--compile-bytecode"],
      ...flags(args),
      ...(hasLock && args.frozen ? ["--frozen"] : []),
    ];
    return [
      modalLayer(
        [
          modalUvCopy(args.uv),
          "COPY /.pyproject.toml /.uv/pyproject.toml",
          ...(hasLock ? ["COPY /.uv.lock /.uv/uv.lock"] : []),
          `RUN /.uv/uv sync ${sync.join(" ")}`,
          "ENV PATH=/.uv/.venv/bin:$PATH",
        ],
        { "/.pyproject.toml": pyproject, ...(hasLock ? { "/.uv.lock": lock } : {}) },
      ),
    ];
  },
});

function flags(args: {
  readonly groups: readonly string[];
  readonly extras: readonly string[];
  readonly extraOptions: string | undefined;
}): readonly string[] {
  return [
    ...args.groups.map((name) => `--group=${name}`),
    ...args.extras.map((name) => `--extra=${name}`),
    ...(args.extraOptions === undefined ? [] : [args.extraOptions]),
  ];
}
