import { checkOptions } from "../internal/check-options.js";
import { normalizePlatform, type Platform } from "../oci/platform.js";
import { type BuildOptions, createBuild } from "./build.js";
import { checkName, checkText, wrongArgument } from "./check-argument.js";
import {
  type ConstraintOptions,
  constraintKeys,
  resolveConstraints,
  resolvePlatform,
} from "./constraints.js";
import { createExec, rootOutput } from "./exec-node.js";
import type { NetworkMode, RunOptions, SecurityMode } from "./exec-options.js";
import { ExecState } from "./exec-state.js";
import { FileAction } from "./file-action.js";
import type { FileNode } from "./file-node.js";
import { createPassthrough } from "./passthrough.js";
import { applyRunOptions, runOptionKeys } from "./run-meta.js";
import { shlex } from "./shlex.js";
import * as change from "./state-meta.js";
import {
  type ContainerMeta,
  type HasStateProps,
  inputOf,
  propsOf,
  type StateMeta,
  type StateProps,
  startProps,
  stateProps,
  usableOutput,
  withContainer,
  withOutput,
} from "./state-props.js";
import { type Output, singleOutput } from "./vertex.js";

/** A change to a state, for {@link State.with}: a function from state to state. */
export type StateOption = (state: State) => State;

/**
 * A filesystem that a build will make, and the surroundings (directory, environment, user …) of the commands that
 * start from it.
 *
 * Immutable: every method returns a new state. Nothing runs until the marshalled graph is solved. All methods throw
 * `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_UNKNOWN_OPTION` with the caller's place on wrong arguments.
 */
export class State implements HasStateProps {
  readonly #props: StateProps;

  /** For this package: states come from `scratch()`, `image()` and the other sources. */
  constructor(props: StateProps) {
    this.#props = Object.freeze(props);
  }

  /** For this package. */
  get [stateProps](): StateProps {
    return this.#props;
  }

  /** Runs a command with this state as its root. A string is split into words as a shell would. */
  run(args: readonly string[] | string, options: RunOptions = {}): ExecState {
    const call = "run()";
    checkOptions(call, options, runOptionKeys);
    const words = typeof args === "string" ? shlex(args) : args;
    if (!Array.isArray(words) || words.length === 0) {
      throw wrongArgument(call, "the command is empty", 'Pass it as ["sh", "-c", "…"] or as a string.');
    }
    const { output, meta } = this.#props;
    const vertex = createExec(
      call,
      {
        root: usableOutput(call, "this state", output),
        args: joinWords(call, words),
        meta: applyRunOptions(call, meta, options, (current) => new State({ output, meta: current })),
        constraints: resolveConstraints(call, options),
      },
      options,
    );
    return new ExecState(vertex, new State(withOutput(meta, rootOutput(vertex))), createState);
  }

  /** Carries out file operations on this state. */
  file(action: FileAction, options: ConstraintOptions = {}): State {
    const call = "file()";
    checkOptions(call, options, constraintKeys);
    if (!(action instanceof FileAction)) {
      throw wrongArgument(
        call,
        "action must be a FileAction",
        'Pass mkdir("/a"), copy(…) or another of these.',
      );
    }
    usableOutput(call, "this state", this.#props.output);
    const vertex: FileNode = Object.freeze({
      kind: "file",
      actions: Object.freeze({ base: this.#props, last: action }),
      constraints: resolveConstraints(call, options),
    });
    return this.#withOutput(singleOutput(vertex));
  }

  /**
   * Solves the LLB definition that lies in a file of this state. The state that results is that definition's.
   * Experimental in BuildKit.
   */
  build(options: BuildOptions = {}): State {
    const source = usableOutput("build()", "this state", this.#props.output);
    return this.#withOutput(singleOutput(createBuild(source, options)));
  }

  /** This state, made only after `dependencies` are; they are not read. `id` names the op. Needs BuildKit 0.31. */
  requires(id: string, ...dependencies: readonly HasStateProps[]): State {
    if (dependencies.length === 0) return this;
    const inputs = [{ state: this, output: true }, ...dependencies.map((state) => ({ state }))];
    return this.#withOutput(createPassthrough("requires()", id, { inputs, constraints: {} })[0]);
  }

  /** Sets an environment variable. Setting it again moves it to the end of the list. */
  addEnv(key: string, value: string): State {
    return this.#withMeta(change.setEnv("addEnv()", this.#props.meta, key, value));
  }

  /** Removes an environment variable. */
  delEnv(key: string): State {
    return this.#withMeta(change.deleteEnv("delEnv()", this.#props.meta, key));
  }

  /** The value of an environment variable. */
  getEnv(key: string): string | undefined {
    return this.#props.meta.env.get(checkName("getEnv()", "key", key));
  }

  /** All environment variables in their order. */
  env(): ReadonlyMap<string, string> {
    return new Map(this.#props.meta.env.entries());
  }

  /** Sets the working directory of commands and of relative paths; a relative one starts at the present one. */
  dir(path: string): State {
    return this.#withMeta(change.setDir("dir()", this.#props.meta, path));
  }

  /** The working directory. */
  getDir(): string {
    return this.#props.meta.container.dir;
  }

  /** Sets the user of commands: name or number, with `:group` behind it if wanted. */
  user(user: string): State {
    return this.#withContainer({ user: checkText("user()", "user", user) });
  }

  /** The user of commands; `""` = the daemon's, root. */
  getUser(): string {
    return this.#props.meta.container.user;
  }

  /** Sets the host name that commands see. */
  hostname(hostname: string): State {
    return this.#withContainer({ hostname: checkText("hostname()", "hostname", hostname) });
  }

  /** The host name that commands see; `""` = the daemon's choice. */
  getHostname(): string {
    return this.#props.meta.container.hostname;
  }

  /** Sets where commands may connect to. `host` needs the entitlement `network.host`. */
  network(mode: NetworkMode): State {
    return this.#withMeta(change.setNetwork("network()", this.#props.meta, mode));
  }

  /** Sets how confined commands are. `insecure` needs the entitlement `security.insecure`. */
  security(mode: SecurityMode): State {
    return this.#withMeta(change.setSecurity("security()", this.#props.meta, mode));
  }

  /** Adds a name to the `/etc/hosts` that commands see. */
  addExtraHost(host: string, ip: string): State {
    return this.#withMeta(change.addExtraHost("addExtraHost()", this.#props.meta, host, ip));
  }

  /** Adds a resource limit of commands, e.g. `nofile`. Needs BuildKit 0.10. */
  ulimit(name: string, limits: { readonly soft: number | bigint; readonly hard: number | bigint }): State {
    checkOptions("ulimit()", limits, ["soft", "hard"]);
    return this.#withMeta(change.addUlimit("ulimit()", this.#props.meta, { name, ...limits }));
  }

  /** Sets the parent of the cgroups that commands run in. Needs BuildKit 0.10. */
  cgroupParent(path: string): State {
    return this.#withContainer({ cgroupParent: checkText("cgroupParent()", "path", path) });
  }

  /** Sets the exit codes of commands that count as success; none = 0 alone. Needs BuildKit 0.17. */
  validExitCodes(...codes: readonly number[]): State {
    return this.#withMeta(change.setValidExitCodes("validExitCodes()", this.#props.meta, codes));
  }

  /** Sets the platform of the commands to come. It is normalised. */
  platform(platform: Platform | string): State {
    const normal = normalizePlatform(resolvePlatform("platform()", platform));
    return this.#withContainer({ platform: normal });
  }

  /** The platform of the commands to come; `undefined` = that of `marshal`. */
  getPlatform(): Platform | undefined {
    return this.#props.meta.container.platform;
  }

  /** Applies functions from state to state, one after another. */
  with(...options: readonly StateOption[]): State {
    let state: State = this;
    for (const option of options) {
      if (typeof option !== "function") {
        throw wrongArgument("with()", "an option is no function", "Pass functions from state to state.");
      }
      const next: unknown = option(state);
      if (!(next instanceof State)) {
        throw wrongArgument("with()", "an option returned no State", "Return the changed state from it.");
      }
      state = next;
    }
    return state;
  }

  /**
   * This filesystem with the surroundings of another state, as Go's `Reset`: the working directory is `/` again,
   * or the other's where the filesystem has a platform of its own.
   */
  reset(other: HasStateProps): State {
    const { meta } = propsOf("reset()", "other", other);
    const { output } = this.#props;
    return new State(
      output?.platform === undefined
        ? { output, meta: withContainer(meta, { dir: "/" }) }
        : withOutput(meta, output),
    );
  }

  /** These surroundings with the filesystem of another state. */
  withOutput(other: HasStateProps): State {
    return this.#withOutput(inputOf("withOutput()", "other", other));
  }

  /** The filesystem alone, as a handle to compare by identity; `undefined` = empty. */
  output(): Output | undefined {
    return this.#props.output;
  }

  #withMeta(meta: StateMeta): State {
    return new State({ output: this.#props.output, meta });
  }

  #withContainer(change: Partial<ContainerMeta>): State {
    return this.#withMeta(withContainer(this.#props.meta, change));
  }

  #withOutput(output: Output | undefined): State {
    return new State(withOutput(this.#props.meta, output));
  }
}

/** The words of a command in one text. Throws `ERR_KILN_INVALID_ARGUMENT`, also for a word that contains NUL. */
function joinWords(call: string, words: readonly string[]): string {
  for (let index = 0; index < words.length; index += 1) checkText(call, `args[${index}]`, words[index]);
  return words.join("\0");
}

function createState(props: StateProps): State {
  return new State(props);
}

/** A state with an empty filesystem. */
export function scratch(): State {
  return new State(startProps(undefined));
}
