import { captureCallSite } from "../internal/call-site.js";
import { argumentError, describe } from "./check-args.js";
import type { AppliedStep, Step } from "./define-step.js";
import { type ToDockerfileOptions, toDockerfile } from "./dockerfile/to-dockerfile.js";
import { imageSnapshot } from "./image-snapshot.js";
import { type LintOptions, lint } from "./lint/lint.js";
import type { LintFinding } from "./lint/lint-finding.js";
import type { ModalLayer } from "./modal-layer.js";
import type { Secret } from "./secret.js";
import {
  type AddLocalDirOptions,
  type AddLocalFileOptions,
  addLocalDir,
  addLocalFile,
} from "./steps/add-local.js";
import { type AddLocalPythonSourceOptions, addLocalPythonSource } from "./steps/add-local-python-source.js";
import { type AptInstallOptions, aptInstall } from "./steps/apt-install.js";
import { cmd, entrypoint, label, shell, user, workdir } from "./steps/config-steps.js";
import { type CopyFromOptions, copyFrom } from "./steps/copy-from.js";
import { type DebianSlimOptions, debianSlim } from "./steps/debian-slim.js";
import { type DockerfileCommandsOptions, dockerfileCommands } from "./steps/dockerfile-commands.js";
import { type EnvOptions, env } from "./steps/env.js";
import { expose } from "./steps/expose.js";
import { type FromDockerfileOptions, fromDockerfile } from "./steps/from-dockerfile.js";
import { type FromOciLayoutOptions, fromOciLayout } from "./steps/from-oci-layout.js";
import { fromId, fromName } from "./steps/from-published.js";
import {
  type FromAwsEcrOptions,
  type FromGcpArtifactRegistryOptions,
  type FromRegistryOptions,
  fromAwsEcr,
  fromGcpArtifactRegistry,
  fromRegistry,
} from "./steps/from-registry.js";
import { fromRootfs } from "./steps/from-rootfs.js";
import { fromScratch } from "./steps/from-scratch.js";
import { type HealthcheckOptions, healthcheck } from "./steps/healthcheck.js";
import { type MicromambaOptions, micromamba } from "./steps/micromamba.js";
import { type MicromambaInstallOptions, micromambaInstall } from "./steps/micromamba-install.js";
import { type NodeOptions, node } from "./steps/node.js";
import { type NpmInstallOptions, npmInstall } from "./steps/npm-install.js";
import { type PipInstallOptions, pipInstall } from "./steps/pip-install.js";
import {
  type PipInstallFromPyprojectOptions,
  pipInstallFromPyproject,
} from "./steps/pip-install-from-pyproject.js";
import {
  type PipInstallFromRequirementsOptions,
  pipInstallFromRequirements,
} from "./steps/pip-install-from-requirements.js";
import {
  type PipInstallPrivateReposOptions,
  pipInstallPrivateRepos,
} from "./steps/pip-install-private-repos.js";
import { type PnpmInstallOptions, pnpmInstall } from "./steps/pnpm-install.js";
import {
  type PoetryInstallFromFileOptions,
  poetryInstallFromFile,
} from "./steps/poetry-install-from-file.js";
import { type RunCommandsOptions, runCommands } from "./steps/run-commands.js";
import { type UvPipInstallOptions, uvPipInstall } from "./steps/uv-pip-install.js";
import { type UvSyncOptions, uvSync } from "./steps/uv-sync.js";
import { type ToModalLayersOptions, toModalLayers } from "./to-modal-layers.js";

const brand: unique symbol = Symbol.for("kiln-engine.image") as never;

/** Strings one by one or as a list, then maybe options. */
export type Variadic<Options> =
  | readonly string[]
  | readonly [...items: string[], options: Options]
  | readonly [items: readonly string[]]
  | readonly [items: readonly string[], options: Options];

/**
 * A recipe for a container image: a chain of steps, as a plain immutable value.
 *
 * Starts at one of the static methods; every other method returns a new `Image` with one more step. Nothing
 * is read, resolved or run before `engine.build`. Wrong arguments throw a `KilnError` at the call, with its
 * place in your code.
 */
export class Image {
  readonly #steps: readonly AppliedStep[];
  readonly [brand] = true;

  private constructor(steps: readonly AppliedStep[]) {
    this.#steps = Object.freeze(steps);
  }

  /** Whether a value is an image, of this copy of the package or of another one. */
  static isImage(value: unknown): value is Image {
    return typeof value === "object" && value !== null && brand in value;
  }

  /**
   * Starts from Debian with Python, e.g. `debianSlim("3.12")`: the official slim image with compilers (not with
   * `buildTools: false`), pip, wheel and uv of the builder version, and a command that only waits. One layer.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` for a version that is none, numbers among them (3.10 would be 3.1).
   */
  static debianSlim(options?: DebianSlimOptions | string): Image {
    return new Image([]).step(debianSlim, options);
  }

  /**
   * Starts from Debian with Node and npm, e.g. `node("22")`: the official slim image as it is. Native modules need
   * `aptInstall("python3", "make", "g++")` before they are installed.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` for a version that is none.
   */
  static node(options?: NodeOptions | string): Image {
    return new Image([]).step(node, options);
  }

  /**
   * Starts from micromamba with Python and pip of conda-forge in its base environment. Steps and containers run as root.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` for a version that is none.
   */
  static micromamba(options?: MicromambaOptions): Image {
    return new Image([]).step(micromamba, options);
  }

  /**
   * Starts from an image in a registry, by Docker's short names too: `debian:bookworm-slim`.
   *
   * The daemon resolves and pulls it. Its config (environment, working directory, labels, …) is carried on;
   * its user is kept for containers, while steps run as root. `secret` (or a `Secret` alone) opens a private registry,
   * `addPython` unpacks Python into a base without one, `forceBuild` asks for the base anew and runs all later steps. Throws `ERR_KILN_INVALID_REFERENCE`.
   */
  static fromRegistry(ref: string, options?: FromRegistryOptions | Secret): Image {
    return new Image([]).step(fromRegistry, { ref, options });
  }

  /**
   * Starts from an image in a private registry of Amazon's ECR: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG`.
   *
   * The secret's keys, or the role that it names, get the registry's password from AWS. Throws
   * `ERR_KILN_INVALID_REFERENCE` for another registry.
   */
  static fromAwsEcr(ref: string, options?: FromAwsEcrOptions | Secret): Image {
    return new Image([]).step(fromAwsEcr, { ref, options });
  }

  /**
   * Starts from an image in Google's Artifact Registry (`*.pkg.dev`) or Container Registry (`gcr.io`), opened by the key
   * of a service account. Throws `ERR_KILN_INVALID_REFERENCE` for another registry.
   */
  static fromGcpArtifactRegistry(ref: string, options?: FromGcpArtifactRegistryOptions | Secret): Image {
    return new Image([]).step(fromGcpArtifactRegistry, { ref, options });
  }

  /** Starts from an image in an OCI layout directory on this machine. Whether it exists is seen by the build. */
  static fromOciLayout(path: string, options?: FromOciLayoutOptions): Image {
    return new Image([]).step(fromOciLayout, { path, options });
  }

  /**
   * Starts from what a Dockerfile makes: every instruction that the daemon's own Dockerfile frontend knows, stages and
   * heredocs included. The image's config is carried on.
   *
   * `.dockerignore` is looked for as `PATH.dockerignore`, beside the Dockerfile, in `contextDir`; `ignore` takes its place.
   * The step's options hold for the Dockerfile's own commands; `RUN --mount=type=secret,id=NAME` gets the variable `NAME`
   * of its secrets. A missing Dockerfile is refused by the build.
   */
  static fromDockerfile(path: string, options?: FromDockerfileOptions): Image {
    return new Image([]).step(fromDockerfile, { path, options });
  }

  /**
   * Starts from a tar of a root filesystem on this machine, plain or compressed. Its config is empty; a file that is not
   * there, or is no such tar, is refused by the build.
   */
  static fromRootfs(path: string): Image {
    return new Image([]).step(fromRootfs, { path });
  }

  /**
   * Starts from an image of the engine's image store, by the digest of its manifest or index. Throws
   * `ERR_KILN_INVALID_DIGEST`; one that is not there is refused by the build.
   */
  static fromId(id: string): Image {
    return new Image([]).step(fromId, id);
  }

  /**
   * Starts from an image that was published in the engine's image store as `name` or `name:tag` (default `latest`). It is taken as it
   * is: nothing is built for it. Throws `ERR_KILN_INVALID_REFERENCE`; one that is not there is refused by the build.
   */
  static fromName(name: string): Image {
    return new Image([]).step(fromName, name);
  }

  /** Starts from nothing: commands need files that earlier steps put there. */
  static fromScratch(): Image {
    return new Image([]).step(fromScratch, undefined);
  }

  /** The steps so far, base first. */
  get steps(): readonly AppliedStep[] {
    return this.#steps;
  }

  /**
   * Adds a step made with `defineStep`. The built-in methods are shorthands for this.
   *
   * Throws what the step's validation throws.
   */
  step<Input>(definition: Step<Input>, input: Input): Image {
    return new Image([...this.#steps, definition.apply(input, captureCallSite())]);
  }

  /**
   * Installs Debian packages, e.g. `aptInstall("git", "curl=7.88.*")`. No package: no step.
   *
   * Runs `apt-get update` and `install` in one exec as root; lists and downloads stay in cache mounts.
   */
  aptInstall(...packages: Variadic<AptInstallOptions>): Image {
    return isEmpty(packages) ? this : this.step(aptInstall, packages);
  }

  /**
   * Installs Python packages with uv: `uvPipInstall("torch<3", "numpy")`, or those of files: `uvPipInstall({ requirements:
   * ["requirements.txt"] })`. Neither: no step.
   *
   * They go to the first Python on the PATH. uv is pinned by the builder version, mounted for the step, and not left in
   * the image; its cache is shared by all builds on the daemon. Order and repetition of packages make no difference.
   */
  uvPipInstall(...packages: Variadic<UvPipInstallOptions>): Image {
    const last: unknown = packages.at(-1);
    const files = isOptions(last) && "requirements" in last ? last.requirements : undefined;
    const noFiles = files === undefined || (Array.isArray(files) && files.length === 0);
    return isEmpty(packages) && noFiles ? this : this.step(uvPipInstall, packages);
  }

  /**
   * Installs the dependencies of a uv project into `/opt/venv` and puts its programs first on the PATH. `projectDir` holds
   * `pyproject.toml` and mostly `uv.lock`; it is the build's working directory unless given.
   *
   * Neither the project nor members of its workspace are installed: add their sources by a later step. A build throws
   * `ERR_KILN_FILE_NOT_FOUND`, and `ERR_KILN_FILE_INVALID` for groups that do not exist and for packages in local paths
   * beside the workspace.
   */
  uvSync(projectDir?: string, options?: UvSyncOptions): Image {
    return this.step(uvSync, { dir: projectDir, options });
  }

  /**
   * Installs Python packages with the image's own pip: `pipInstall("diffusers[torch]", "transformers")`. No package: no
   * step. `uvPipInstall` is quicker. Order and repetition of packages make no difference.
   */
  pipInstall(...packages: Variadic<PipInstallOptions>): Image {
    return isEmpty(packages) ? this : this.step(pipInstall, packages);
  }

  /**
   * Installs what a local requirements file names, with the files that it includes by `-r` and `-c`. None of them is left
   * in the image.
   *
   * A build throws `ERR_KILN_FILE_NOT_FOUND`, and `ERR_KILN_FILE_INVALID` for lines that name local packages.
   */
  pipInstallFromRequirements(path: string, options?: PipInstallFromRequirementsOptions): Image {
    return this.step(pipInstallFromRequirements, { path, options });
  }

  /**
   * Installs the dependencies that a local `pyproject.toml` lists in `[project]`, with the groups in
   * `optionalDependencies`; not the project itself.
   *
   * A build throws `ERR_KILN_FILE_NOT_FOUND`, and `ERR_KILN_FILE_INVALID` for groups that do not exist and for a list that
   * only the project's own build knows.
   */
  pipInstallFromPyproject(path: string, options?: PipInstallFromPyprojectOptions): Image {
    return this.step(pipInstallFromPyproject, { path, options });
  }

  /**
   * Installs Python packages out of private repositories: `pipInstallPrivateRepos("github.com/org/repo@v1", { gitUser:
   * "me", secrets: [Secret.fromEnv("GITHUB_TOKEN")] })`. GitLab's token is `GITLAB_TOKEN`. No repository: no step.
   *
   * Git is installed if the image has none. Tokens reach git alone: no command, log, file or definition holds one.
   */
  pipInstallPrivateRepos(
    ...repositories:
      | readonly [...items: string[], options: PipInstallPrivateReposOptions]
      | readonly [items: readonly string[], options: PipInstallPrivateReposOptions]
  ): Image {
    return isEmpty(repositories) ? this : this.step(pipInstallPrivateRepos, repositories);
  }

  /**
   * Installs the dependencies of a Poetry project into the image's Python, by the `poetry.lock` beside its
   * `pyproject.toml`; not the project itself. Poetry is pinned by the builder version and not left in the image.
   *
   * A build throws `ERR_KILN_FILE_NOT_FOUND` for a missing lock file, unless `ignoreLockfile` is set, and
   * `ERR_KILN_FILE_INVALID` for groups that do not exist.
   */
  poetryInstallFromFile(path: string, options?: PoetryInstallFromFileOptions): Image {
    return this.step(poetryInstallFromFile, { path, options });
  }

  /**
   * Installs conda packages into the base environment, e.g. `micromambaInstall("pymc==5.10.4", { channels: ["conda-forge"]
   * })`. Their order is kept; downloads stay in a cache mount. No package and no `specFile`: no step.
   */
  micromambaInstall(...packages: Variadic<MicromambaInstallOptions>): Image {
    const last = packages.at(-1);
    const hasFile = isOptions(last) && "specFile" in last && last.specFile !== undefined;
    return isEmpty(packages) && !hasFile ? this : this.step(micromambaInstall, packages);
  }

  /**
   * Installs npm packages for the whole image, e.g. `npmInstall("typescript@5.6.3")`, or a project's dependencies:
   * `npmInstall({ project: "." })` runs `npm ci` by the `package.json` and lock file of that directory, workspaces
   * included, and leaves `node_modules` in the image's working directory. No package and no project: no step.
   *
   * By the image's own npm, as root, in one exec; downloads stay in a cache mount. Scripts of the project itself run
   * without its sources: add those first, or pass `extraOptions: "--ignore-scripts"`.
   */
  npmInstall(...packages: Variadic<NpmInstallOptions>): Image {
    return isEmpty(packages) && !hasProject(packages) ? this : this.step(npmInstall, packages);
  }

  /**
   * What {@link Image.npmInstall} does, by the builder version's pnpm: packages go to `/usr/local`, projects go by
   * `pnpm-lock.yaml`. The image needs Node and npm; pnpm itself does not stay in it.
   */
  pnpmInstall(...packages: Variadic<PnpmInstallOptions>): Image {
    return isEmpty(packages) && !hasProject(packages) ? this : this.step(pnpmInstall, packages);
  }

  /** Runs shell commands as root, each in an exec (and cache unit) of its own. No command: no step. */
  runCommands(...commands: Variadic<RunCommandsOptions>): Image {
    return isEmpty(commands) ? this : this.step(runCommands, commands);
  }

  /**
   * Runs lines of a Dockerfile on the image: `dockerfileCommands("COPY a /b", "USER app")`. No line: no step.
   *
   * `FROM base` comes before them; a string may be several lines. COPY and ADD read `contextDir` as far as they need it
   * (without what its `.dockerignore` names), and `contextFiles`. Options as for {@link Image.fromDockerfile}.
   */
  dockerfileCommands(...lines: Variadic<DockerfileCommandsOptions>): Image {
    return isEmpty(lines) ? this : this.step(dockerfileCommands, lines);
  }

  /**
   * Sets environment variables, for later steps and for containers.
   *
   * `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` expand against the image's environment, `\$`
   * is a dollar sign; `{ expand: false }` takes values as they are.
   */
  env(vars: Readonly<Record<string, string>>, options?: EnvOptions): Image {
    return this.step(env, { vars, options });
  }

  /** Sets the working directory; a relative path joins the current one. Makes no layer. */
  workdir(path: string): Image {
    return this.step(workdir, path);
  }

  /** Sets the user that containers run as (`name`, `uid` or `user:group`). Steps still run as root. */
  user(name: string): Image {
    return this.step(user, name);
  }

  /** Adds labels. */
  label(labels: Readonly<Record<string, string>>): Image {
    return this.step(label, labels);
  }

  /** Sets what containers run; `[]` clears it. A command inherited from the base is dropped with it. */
  entrypoint(argv: readonly string[]): Image {
    return this.step(entrypoint, argv);
  }

  /** Sets the default arguments (or command) of containers; `[]` clears it. */
  cmd(argv: readonly string[]): Image {
    return this.step(cmd, argv);
  }

  /** Sets the shell of later `runCommands`, e.g. `["/bin/bash", "-c"]`. */
  shell(argv: readonly string[]): Image {
    return this.step(shell, argv);
  }

  /**
   * Copies a local file into the image, owned by root, with its own mode and a fixed time.
   *
   * `remotePath` is absolute (`ERR_KILN_RELATIVE_PATH`); a trailing `/` keeps the file's name. A symlink is
   * followed. Without `copy: true`: `ERR_KILN_COPY_REQUIRED`. A missing file is refused by the build.
   */
  addLocalFile(localPath: string, remotePath: string, options: AddLocalFileOptions): Image {
    return this.step(addLocalFile, { localPath, remotePath, options });
  }

  /**
   * Copies the contents of a local directory into a directory of the image.
   *
   * Symlinks, hard links, empty directories and modes survive; owner is root, times are fixed (see
   * `mtime`). `ignore` leaves files out. Errors as for {@link Image.addLocalFile}.
   */
  addLocalDir(localPath: string, remotePath: string, options: AddLocalDirOptions): Image {
    return this.step(addLocalDir, { localPath, remotePath, options });
  }

  /**
   * Copies local Python modules to where the image's Python imports them from: `addLocalPythonSource("app", "lib.tools", {
   * copy: true })`. A package goes to `/root/app`, a module to `/root/app.py`; `PYTHONPATH` gets `/root`.
   *
   * Modules are looked for in `searchPaths` (default: the build's working directory and its `src`) when the build starts;
   * one that is not there is refused with all places that were tried. Only `.py` files are taken, unless `ignore` says
   * otherwise. Without `copy: true`: `ERR_KILN_COPY_REQUIRED`.
   */
  addLocalPythonSource(
    ...modules:
      | readonly [...modules: string[], options: AddLocalPythonSourceOptions]
      | readonly [modules: readonly string[], options: AddLocalPythonSourceOptions]
  ): Image {
    return isEmpty(modules) ? this : this.step(addLocalPythonSource, modules);
  }

  /** Records ports that containers listen on: `expose(8080, "53/udp")`. */
  expose(...ports: readonly (number | string)[]): Image {
    return this.step(expose, ports);
  }

  /**
   * Sets how a runtime checks that a container is well: a command for the image's shell, an argv, or `"none"` to drop
   * what the base has.
   */
  healthcheck(test: string | readonly string[], options?: HealthcheckOptions): Image {
    return this.step(healthcheck, { test, options });
  }

  /**
   * Copies files of another image, as `COPY --from` does: that image is built as far as they need it.
   *
   * Both paths are absolute; `to` is `from` unless given. A directory brings its contents; owners, modes and times stay.
   */
  copyFrom(image: Image, from: string, to?: string, options?: CopyFromOptions): Image {
    return this.step(copyFrom, { image, from, to, options });
  }

  /**
   * The commands that Modal's builder 2025.06 runs for this chain, layer by layer, base first: see {@link toModalLayers}.
   * Throws `ERR_KILN_UNSUPPORTED` and `ERR_KILN_READER_NEEDED`.
   */
  toModalLayers(options?: ToModalLayersOptions): readonly ModalLayer[] {
    return toModalLayers(this, options);
  }

  /**
   * What is doubtful in this chain, in the order of its steps: see {@link lint}. Pure; reads nothing, knows no daemon.
   *
   * Throws `ERR_KILN_UNKNOWN_OPTION` and `ERR_KILN_INVALID_ARGUMENT` for wrong options.
   */
  lint(options?: LintOptions): readonly LintFinding<Image>[] {
    return lint(this, options, (steps) => new Image(steps));
  }

  /**
   * One Dockerfile that gives the same files and config with `docker build`, without Kiln: see {@link toDockerfile}.
   * Throws `ERR_KILN_UNSUPPORTED`, `ERR_KILN_READER_NEEDED` and `ERR_KILN_FILE_NOT_FOUND`.
   */
  toDockerfile(options?: ToDockerfileOptions): string {
    return toDockerfile(this, options);
  }

  /** The chain as text, alike on every machine, for snapshot tests. No values of secrets are in it. */
  toSnapshot(): string {
    return imageSnapshot(this);
  }

  /** Hands the image to a function and returns what that makes of it: a chain continued elsewhere. */
  pipe<Rest extends readonly unknown[]>(next: (image: Image, ...args: Rest) => Image, ...args: Rest): Image {
    const result = next(this, ...args);
    if (Image.isImage(result)) return result;
    throw argumentError("pipe", `the function must return an Image, it returned ${describe(result)}`, {
      hint: "Return the chain: pipe((image) => image.aptInstall(…)).",
    });
  }
}

function isEmpty(args: readonly unknown[]): boolean {
  const items = args.filter((arg) => typeof arg === "string" || Array.isArray(arg)).flat();
  return items.length === 0 && args.every((arg) => Array.isArray(arg) || isOptions(arg));
}

function isOptions(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function hasProject(args: readonly unknown[]): boolean {
  const last = args.at(-1);
  return typeof last === "object" && last !== null && "project" in last && last.project !== undefined;
}
