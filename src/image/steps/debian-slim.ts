import { formatPlatform } from "../../oci/platform.js";
import { aptMounts } from "../apt-mounts.js";
import { type BuilderVersion, modalPins } from "../builder-version.js";
import { argumentError } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { type ProjectPythonFile, projectPython, projectPythonFiles } from "../project-python.js";
import { checkPythonVersion, fullPythonVersion } from "../python-version.js";
import { shellQuote } from "../shell-quote.js";
import { checkFlag, checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `Image.debianSlim`. */
export interface DebianSlimOptions extends Omit<StepOptions, "gpu"> {
  /**
   * A series (`"3.12"`: the micro version is the builder version's), a full version (`"3.12.4"`), or `"auto"`: what
   * `.python-version`, else `requires-python` in `pyproject.toml`, of the build's working directory asks for. Default:
   * the builder version's.
   */
  readonly pythonVersion?: string | undefined;
  /** Compilers: gcc, gfortran, build-essential. Default true. */
  readonly buildTools?: boolean | undefined;
}

/** Input of the `debianSlim` step. */
export type DebianSlimInput = string | DebianSlimOptions | undefined;

const compilers = ["gcc", "gfortran", "build-essential"];
const noQuestions = "debconf debconf/frontend select Noninteractive";
const sleep = ["sleep", "172800"];

/**
 * Starts from Debian with Python, as Modal's `debian_slim` does: compilers, pip, wheel and uv, apt that asks nothing,
 * and a command that only waits. pip, wheel and uv are those of the builder version, checked by sha256.
 */
export const debianSlim: Step<DebianSlimInput> = defineStep({
  id: "debianSlim",
  version: 1,
  validate(input: DebianSlimInput) {
    const given = typeof input === "object" && input !== null ? input : undefined;
    const version = given === undefined ? input : given.pythonVersion;
    if (given !== undefined && "gpu" in given) {
      throw argumentError("debianSlim", "a base has no use for a device", {
        code: "ERR_KILN_UNKNOWN_OPTION",
        hint: "Give gpu to the step that needs it.",
      });
    }
    return {
      pythonVersion: checkPythonVersion("debianSlim", version),
      buildTools: checkFlag("debianSlim", "buildTools", given?.buildTools, true),
      options: checkStepOptions("debianSlim", given, ["pythonVersion", "buildTools"]),
    };
  },
  title: ({ pythonVersion }) => `debianSlim${pythonVersion === undefined ? "" : ` ${pythonVersion}`}`,
  options: ({ options }) => options,
  needs({ pythonVersion, options }, context) {
    const base = (version: string) => {
      const ref = `docker.io/library/${baseImage(version, context.builder)}`;
      return { base: { kind: "registry", ref, refresh: options.forceBuild } } as const;
    };
    if (pythonVersion !== "auto") {
      return {
        bases: base(fullPythonVersion(pythonVersion ?? context.builder.defaultPython, context.builder)),
      };
    }
    const listings = { project: { path: ".", patterns: [...projectPythonFiles] } };
    const there = context.listing("project");
    if (there === undefined) return { listings };
    const files = Object.fromEntries(there.map((path) => [path, { path }]));
    if (there.some((file) => context.file(file) === undefined)) return { listings, files };
    const read = (file: ProjectPythonFile): string | undefined => decode(context.file(file));
    const wanted = projectPython(read, context.builder);
    return { listings, files, bases: base(fullPythonVersion(wanted, context.builder)) };
  },
  lower(_chain, { buildTools }, context) {
    const apt = aptMounts(context.platform);
    const pip = "python -m pip install --upgrade --no-deps --only-binary :all: --require-hashes";
    const commands = [
      ...(buildTools ? ["apt-get update", `apt-get install -y -- ${compilers.join(" ")}`] : []),
      `${pip} --root-user-action ignore -r ${requirementsPath}`,
      `echo '${noQuestions}' | debconf-set-selections`,
    ];
    const ready = context.run(context.base("base"), {
      argv: ["/bin/sh", "-c", commands.join(" && ")],
      command: commands.join(" && "),
      env: [...apt.env, ["PIP_CACHE_DIR", pipCache], ["PIP_DISABLE_PIP_VERSION_CHECK", "1"]],
      caches: [
        ...(buildTools ? apt.caches : []),
        { target: pipCache, id: `kiln-pip-${formatPlatform(context.platform)}`, sharing: "shared" },
      ],
      files: [
        ...(buildTools ? apt.files : []),
        { target: requirementsPath, content: requirements(context.builder) },
      ],
    });
    return context.configure(ready, { kind: "cmd", argv: sleep, inherited: true });
  },
  traits: ({ pythonVersion }, { builder }) => ({
    ...(pythonVersion === "auto"
      ? {}
      : { baseRef: baseImage(fullPythonVersion(pythonVersion ?? builder.defaultPython, builder), builder) }),
    changes: "install",
  }),
  modal({ pythonVersion }, context) {
    const wanted =
      pythonVersion === "auto"
        ? projectPython(context.file, context.builder)
        : (pythonVersion ?? context.builder.defaultPython);
    const pinned = Object.entries(modalPins.pythons).find(([series]) => series === wanted)?.[1];
    const full = pinned ?? fullPythonVersion(wanted, context.builder);
    const commands = [
      `FROM python:${full}-slim-${modalPins.debian}`,
      "RUN apt-get update",
      `RUN apt-get install -y ${compilers.join(" ")}`,
      "RUN pip install --upgrade pip wheel uv",
      `RUN echo ${shellQuote(noQuestions)} | debconf-set-selections`,
      'CMD ["sleep", "172800"]',
    ];
    return [{ commands, contextFiles: {} }];
  },
});

const pipCache = "/root/.cache/pip";
const requirementsPath = "/run/kiln/requirements.txt";

function baseImage(version: string, { debian }: BuilderVersion): string {
  return `python:${version}-slim-${debian}`;
}

/** The package tools as a requirements file with hashes. */
function requirements({ packageTools, uv }: BuilderVersion): string {
  const tools = [
    ...packageTools.map(({ name, version, sha256 }) => ({ name, version, wheels: [sha256] })),
    { name: "uv", ...uv },
  ];
  return tools
    .map(({ name, version, wheels }) =>
      [`${name}==${version}`, ...wheels.map((hash) => `--hash=sha256:${hash}`)].join(" \\\n  "),
    )
    .map((line) => `${line}\n`)
    .join("");
}

function decode(content: Uint8Array | undefined): string | undefined {
  return content === undefined ? undefined : new TextDecoder().decode(content);
}
