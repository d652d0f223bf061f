import { NetMode, SecurityMode } from "../../gen/pb/ops_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { randomId } from "../../internal/random-id.js";
import {
  checkChoice,
  checkFlag,
  checkName,
  checkRecord,
  checkText,
  checkTexts,
  wrongArgument,
} from "../../llb/check-argument.js";
import { platformToPb } from "../platform-pb.js";
import { SolveError } from "../solve-error.js";
import type { Bridge } from "./bridge.js";
import type { ContainerRequest } from "./container-request.js";
import { type FileInfo, fileInfo } from "./file-info.js";
import { type Process, startProcess } from "./process.js";
import { readInPages } from "./read-in-pages.js";
import type { AbortOptions, ReadDirOptions, ReadFileOptions } from "./ref.js";

/** Options of {@link Container.start}. */
export interface ProcessOptions extends AbortOptions {
  /** The command; the first is looked up in its PATH. */
  readonly args: readonly string[];
  /** Default none but the daemon's PATH. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Default `/`. */
  readonly cwd?: string | undefined;
  /** Name or number, with `:group` behind it if wanted; default root. */
  readonly user?: string | undefined;
  /** Gives it a terminal: input and output go through it. Default false. */
  readonly tty?: boolean | undefined;
  /** Whether `Process.stdin` is connected; default that of `tty`. */
  readonly stdin?: boolean | undefined;
  /** Whether `Process.stdout` is connected; default true. */
  readonly stdout?: boolean | undefined;
  /** Whether `Process.stderr` is connected; default true, with a terminal never. */
  readonly stderr?: boolean | undefined;
  /** `insecure` needs the entitlement `security.insecure`. Default `sandbox`. */
  readonly security?: "sandbox" | "insecure" | undefined;
  /** Secrets as environment variables. */
  readonly secretEnv?:
    | readonly {
        readonly id: string;
        /** The variable; default the id. */
        readonly name?: string | undefined;
        readonly optional?: boolean | undefined;
      }[]
    | undefined;
}

/**
 * A container on the daemon, in which processes of this build run. The first is its process 1: the others end with it.
 *
 * Released with the build at the latest. All methods reject with `ERR_KILN_CLOSED` once the build is over.
 */
export class Container implements AsyncDisposable {
  /** The daemon's name of it. */
  readonly id: string;
  readonly #bridge: Bridge;
  readonly #targets: readonly string[];

  /** For {@link createContainer}. */
  constructor(bridge: Bridge, id: string, targets: readonly string[]) {
    this.id = id;
    this.#bridge = bridge;
    this.#targets = targets;
  }

  /**
   * Starts a process; resolves once it runs.
   *
   * Rejects with `RpcError` if the daemon cannot run it, `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_UNKNOWN_OPTION`.
   * Aborting `signal` kills the process.
   */
  async start(options: ProcessOptions): Promise<Process> {
    const call = "start()";
    checkOptions(call, options, processKeys);
    const args = [...checkTexts(call, "args", options.args)];
    if (args.length === 0) throw wrongArgument(call, "args is empty", 'Pass a command, e.g. ["sh"].');
    const tty = checkFlag(call, "tty", options.tty);
    const pipes = {
      id: randomId(),
      stdin: checkFlag(call, "stdin", options.stdin ?? tty),
      stdout: checkFlag(call, "stdout", options.stdout ?? true),
      stderr: checkFlag(call, "stderr", options.stderr ?? true) && !tty,
    };
    const init = {
      ContainerID: this.id,
      Meta: {
        args,
        env: checkRecord(call, "env", options.env ?? {}).map(([key, value]) => `${key}=${value}`),
        cwd: options.cwd === undefined ? "/" : checkName(call, "cwd", options.cwd),
        user: options.user === undefined ? "" : checkText(call, "user", options.user),
        removeMountStubsRecursive: true,
      },
      Fds: [pipes.stdin ? [0] : [], pipes.stdout ? [1] : [], pipes.stderr ? [2] : []].flat(),
      Tty: tty,
      Security:
        checkChoice(call, "security", options.security ?? "sandbox", ["sandbox", "insecure"]) === "insecure"
          ? SecurityMode.INSECURE
          : SecurityMode.SANDBOX,
      secretenv: (options.secretEnv ?? []).map(({ id, name, optional }) => ({
        ID: checkName(call, "secretEnv id", id),
        name: checkName(call, "secretEnv name", name ?? id),
        optional: checkFlag(call, "secretEnv optional", optional),
      })),
    };
    return this.#start(init, pipes, options.signal);
  }

  async #start(
    init: object,
    pipes: Parameters<typeof startProcess>[1],
    signal: AbortSignal | undefined,
  ): Promise<Process> {
    const stream = this.#bridge.openExec(signal);
    await stream.send({ ProcessID: pipes.id, Input: { case: "Init", value: init as never } });
    return startProcess(stream, pipes);
  }

  /**
   * Reads a file of the container, while it runs or after.
   *
   * `path` is absolute within the container. Rejects with `ERR_KILN_UNSUPPORTED` before BuildKit 0.27, `RpcError`.
   */
  async readFile(path: string, options: ReadFileOptions = {}): Promise<Uint8Array> {
    const call = "readFile()";
    checkOptions(call, options, ["offset", "length", "signal"]);
    const { mount, rest } = this.#locate(call, path);
    this.#bridge.need("gateway.exec.filesystem", "0.27");
    return readInPages(call, options, (range) =>
      this.#bridge.call(
        async (client, rpc) =>
          (
            await client.readFileContainer(
              { Ref: this.id, FilePath: rest, Range: range, MountIndex: mount },
              rpc,
            )
          ).Data,
        options.signal,
      ),
    );
  }

  /** Lists a directory of the container. As {@link Container.readFile}. */
  async readDir(path: string, options: ReadDirOptions = {}): Promise<readonly FileInfo[]> {
    const call = "readDir()";
    checkOptions(call, options, ["includePattern", "signal"]);
    const { mount, rest } = this.#locate(call, path);
    this.#bridge.need("gateway.exec.filesystem", "0.27");
    const IncludePattern =
      options.includePattern === undefined ? "" : checkText(call, "includePattern", options.includePattern);
    const { entries } = await this.#bridge.call(
      (client, rpc) =>
        client.readDirContainer({ Ref: this.id, DirPath: rest, IncludePattern, MountIndex: mount }, rpc),
      options.signal,
    );
    return entries.map(fileInfo);
  }

  /** Describes a file of the container. As {@link Container.readFile}. */
  async statFile(path: string, options: AbortOptions = {}): Promise<FileInfo | undefined> {
    const call = "statFile()";
    checkOptions(call, options, ["signal"]);
    const { mount, rest } = this.#locate(call, path);
    this.#bridge.need("gateway.exec.filesystem", "0.27");
    const { stat } = await this.#bridge.call(
      (client, rpc) => client.statFileContainer({ Ref: this.id, Path: rest, MountIndex: mount }, rpc),
      options.signal,
    );
    return stat === undefined ? undefined : fileInfo(stat);
  }

  /** Ends all processes and removes the container. Idempotent. */
  async release(): Promise<void> {
    try {
      await this.#bridge.call((client, rpc) => client.releaseContainer({ ContainerID: this.id }, rpc));
    } catch (error) {
      // How its processes ended is theirs to say.
      if (!(error instanceof SolveError) || error.exitCode === undefined) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** The mount that a path is in, the deepest, and the path within it. */
  #locate(call: string, path: string): { readonly mount: number; readonly rest: string } {
    checkText(call, "path", path);
    const absolute = path.startsWith("/") ? path : `/${path}`;
    let mount = 0;
    let depth = -1;
    for (const [index, target] of this.#targets.entries()) {
      const prefix = target === "/" ? "/" : `${target}/`;
      if (absolute !== target && !absolute.startsWith(prefix)) continue;
      if (prefix.length <= depth) continue;
      mount = index;
      depth = prefix.length;
    }
    return { mount, rest: absolute.slice(Math.max(depth - 1, 0)) || "/" };
  }
}

const processKeys: readonly string[] = [
  ...["args", "env", "cwd", "user", "tty", "stdin", "stdout", "stderr", "security", "secretEnv", "signal"],
];

/** Makes a container. Rejects with `SolveError` if a mounted ref cannot be built, or `RpcError`. */
export async function createContainer(
  bridge: Bridge,
  request: ContainerRequest,
  signal: AbortSignal | undefined,
): Promise<Container> {
  const id = randomId();
  await bridge.call(
    (client, rpc) =>
      client.newContainer(
        {
          ContainerID: id,
          Mounts: [...request.mounts],
          Network: request.network ?? NetMode.UNSET,
          ...(request.platform === undefined ? {} : { platform: platformToPb(request.platform) }),
          hostname: request.hostname ?? "",
          extraHosts: (request.extraHosts ?? []).map(({ host, ip }) => ({ Host: host, IP: ip })),
        },
        rpc,
      ),
    signal,
  );
  return new Container(
    bridge,
    id,
    request.mounts.map(({ dest }) => dest ?? ""),
  );
}
