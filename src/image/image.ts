import { captureCallSite } from "../internal/call-site.js";
import { argumentError, describe } from "./check-args.js";
import type { AppliedStep, Step } from "./define-step.js";
import { type ToDockerfileOptions, toDockerfile } from "./dockerfile/to-dockerfile.js";
import { imageSnapshot } from "./image-snapshot.js";
import type { ModalLayer } from "./modal-layer.js";
import {
  type AddLocalDirOptions,
  type AddLocalFileOptions,
  addLocalDir,
  addLocalFile,
} from "./steps/add-local.js";
import { type AptInstallOptions, aptInstall } from "./steps/apt-install.js";
import { cmd, entrypoint, label, shell, user, workdir } from "./steps/config-steps.js";
import { type CopyFromOptions, copyFrom } from "./steps/copy-from.js";
import { type DockerfileCommandsOptions, dockerfileCommands } from "./steps/dockerfile-commands.js";
import { type EnvOptions, env } from "./steps/env.js";
import { expose } from "./steps/expose.js";
import { type FromDockerfileOptions, fromDockerfile } from "./steps/from-dockerfile.js";
import { type FromOciLayoutOptions, fromOciLayout } from "./steps/from-oci-layout.js";
import { fromRegistry } from "./steps/from-registry.js";
import { fromScratch } from "./steps/from-scratch.js";
import { type HealthcheckOptions, healthcheck } from "./steps/healthcheck.js";
import { type RunCommandsOptions, runCommands } from "./steps/run-commands.js";
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
   * Starts from an image in a registry, by Docker's short names too: `debian:bookworm-slim`.
   *
   * The daemon resolves and pulls it. Its config (environment, working directory, labels, …) is carried on;
   * its user is kept for containers, while steps run as root. Throws `ERR_KILN_INVALID_REFERENCE`.
   */
  static fromRegistry(ref: string): Image {
    return new Image([]).step(fromRegistry, { ref, options: undefined });
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
  pipe<Args extends readonly unknown[]>(next: (image: Image, ...args: Args) => Image, ...args: Args): Image {
    const result = next(this, ...args);
    if (Image.isImage(result)) return result;
    throw argumentError("pipe", `the function must return an Image, it returned ${describe(result)}`);
  }
}

function isEmpty(args: readonly unknown[]): boolean {
  const items = args.filter((arg) => typeof arg === "string" || Array.isArray(arg)).flat();
  return items.length === 0 && args.every((arg) => Array.isArray(arg) || isOptions(arg));
}

function isOptions(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
