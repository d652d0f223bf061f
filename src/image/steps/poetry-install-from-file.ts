import { posix } from "node:path";
import { KilnError } from "../../errors.js";
import { argumentError, checkLocalPath, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { checkGroupNames } from "../python/group-names.js";
import { checkPoetryProject, type PoetryGroups } from "../python/poetry-project.js";
import { poetryTool } from "../python/poetry-tool.js";
import { readToml } from "../python/toml.js";
import { checkFlag, checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `poetryInstallFromFile`. */
export interface PoetryInstallFromFileOptions extends StepOptions {
  /** The lock file; default: `poetry.lock` beside the `pyproject.toml`. */
  readonly lockfile?: string | undefined;
  /** Resolve anew, as if there were no lock file. Default false. */
  readonly ignoreLockfile?: boolean | undefined;
  /** Optional groups to install as well. */
  readonly with?: readonly string[] | undefined;
  /** Groups to leave out. */
  readonly without?: readonly string[] | undefined;
  /** The only groups to install; `main` is the project's own. */
  readonly only?: readonly string[] | undefined;
  /** The Poetry that installs; default: the builder version's. `null` = the one that the image has. */
  readonly poetryVersion?: string | null | undefined;
  /** Poetry's installer of old, which versions before 1.5 have. Default false. */
  readonly oldInstaller?: boolean | undefined;
}

/** Input of the `poetryInstallFromFile` step. */
export interface PoetryInstallFromFileInput {
  readonly path: string;
  readonly options: PoetryInstallFromFileOptions | undefined;
}

const call = "poetryInstallFromFile";
const project = "/run/kiln/project";

/**
 * Installs the dependencies of a Poetry project into the image's Python, not the project itself. Poetry and the project's
 * files are mounted, and not left in the image.
 */
export const poetryInstallFromFile: Step<PoetryInstallFromFileInput> = defineStep({
  id: call,
  version: 1,
  validate({ path, options }: PoetryInstallFromFileInput) {
    const checked = checkStepOptions(call, options, [
      ...["lockfile", "ignoreLockfile", "with", "without", "only", "poetryVersion", "oldInstaller"],
    ]);
    const ignoreLockfile = checkFlag(call, "ignoreLockfile", options?.ignoreLockfile, false);
    if (ignoreLockfile && options?.lockfile !== undefined) {
      throw argumentError(call, "lockfile names a file that ignoreLockfile leaves out", {
        hint: "Drop one of the two.",
      });
    }
    const groups: PoetryGroups = {
      with: checkGroupNames(call, "with", options?.with),
      without: checkGroupNames(call, "without", options?.without),
      only: checkGroupNames(call, "only", options?.only),
    };
    if (groups.only.length > 0 && groups.with.length + groups.without.length > 0) {
      throw argumentError(call, "only cannot go with with or without", {
        hint: "List all groups in only, or none.",
      });
    }
    const poetryVersion = checkPoetryVersion(options?.poetryVersion);
    return {
      path: checkLocalPath(call, path, '"pyproject.toml"'),
      lockfile:
        options?.lockfile === undefined
          ? undefined
          : checkLocalPath(call, options.lockfile, '"pyproject.toml", { lockfile: "poetry.lock" }'),
      ignoreLockfile,
      groups,
      poetryVersion,
      oldInstaller: checkOldInstaller(options?.oldInstaller, poetryVersion),
      options: checked,
    };
  },
  title: ({ path, groups }) => [call, path, ...flags(groups)].join(" "),
  options: ({ options }) => options,
  needs: (args) => ({
    files: {
      pyproject: { path: args.path },
      ...(args.ignoreLockfile ? {} : { lock: { path: lockOf(args) } }),
    },
  }),
  lower(chain, { path, groups, poetryVersion, oldInstaller }, context) {
    const pyproject = context.file("pyproject") ?? new Uint8Array();
    const lock = context.file("lock");
    checkPoetryProject(readToml(pyproject, path), groups, path);
    const version = poetryVersion === undefined ? context.builder.poetry : poetryVersion;
    const tool = poetryTool(call, version, context);
    const install = ["install", "--no-root", ...flags(groups), "--compile"].join(" ");
    return context.run(chain, {
      script: [...tool.script, `cd ${project} && run_poetry ${install} --no-interaction`].join("\n"),
      command: `poetry ${install}`,
      env: [...(oldInstaller ? [["POETRY_EXPERIMENTAL_NEW_INSTALLER", "false"] as const] : []), ...tool.env],
      caches: tool.caches,
      dirs: [
        {
          target: project,
          files: new Map([
            ["pyproject.toml", pyproject],
            ...(lock === undefined ? [] : ([["poetry.lock", lock]] as const)),
          ]),
          writable: true,
        },
      ],
    });
  },
  modal(args, context) {
    const { path, groups, poetryVersion, oldInstaller, ignoreLockfile } = args;
    const lock = lockOf(args);
    if (!ignoreLockfile && args.lockfile === undefined && context.file(lock) === undefined) {
      throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `${call}: there is no ${lock} beside ${path}`, {
        hint: "Run `poetry lock`, or pass ignoreLockfile: true.",
      });
    }
    const version = poetryVersion === undefined ? "" : `==${poetryVersion}`;
    return [
      modalLayer(
        [
          ...(poetryVersion === null ? [] : [`RUN python -m pip install poetry${version}`]),
          ...(oldInstaller ? ["RUN poetry config experimental.new-installer false"] : []),
          ...(ignoreLockfile ? [] : ["COPY /.poetry.lock /tmp/poetry/poetry.lock"]),
          "COPY /.pyproject.toml /tmp/poetry/pyproject.toml",
          "RUN cd /tmp/poetry && \\ ",
          "  poetry config virtualenvs.create false && \\ ",
          ["poetry install --no-root", ...flags(groups), "--compile"].join(" "),
        ],
        { "/.pyproject.toml": path, ...(ignoreLockfile ? {} : { "/.poetry.lock": lock }) },
      ),
    ];
  },
});

function lockOf(args: { readonly path: string; readonly lockfile: string | undefined }): string {
  return args.lockfile ?? posix.join(posix.dirname(args.path), "poetry.lock");
}

function flags(groups: PoetryGroups): readonly string[] {
  return (["with", "without", "only"] as const).flatMap((key) =>
    groups[key].length === 0 ? [] : [`--${key} ${groups[key].join(",")}`],
  );
}

function checkPoetryVersion(version: unknown): string | null | undefined {
  if (version === undefined || version === null) return version;
  if (typeof version === "string" && /^\d+\.\d+(?:\.\d+)?(?:(?:a|b|rc)\d+)?$/.test(version)) return version;
  throw argumentError(call, `poetryVersion must be a version or null, got ${describe(version)}`, {
    hint:
      version === "latest"
        ? "Leave it out for the version that the builder version pins."
        : 'Write poetryVersion: "2.2.1", or null for the Poetry that the image has.',
  });
}

function checkOldInstaller(flag: unknown, version: string | null | undefined): boolean {
  const wanted = checkFlag(call, "oldInstaller", flag, false);
  const [major = 2, minor = 0] = (version ?? "").split(".").map(Number);
  if (wanted && version !== null && (version === undefined || major > 1 || minor >= 5)) {
    throw argumentError(call, "oldInstaller needs a Poetry before 1.5, later ones do not have it", {
      hint: 'Leave it out, or pass poetryVersion: "1.4.2" with it.',
    });
  }
  return wanted;
}
