import { create } from "@bufbuild/protobuf";
import { KilnError } from "../../errors.js";
import { StatSchema } from "../../gen/fsutil/types/stat_pb.js";
import type { Ref as PbRef } from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { checkText } from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import { fromDefinition } from "../../llb/from-definition.js";
import type { State } from "../../llb/state.js";
import type { Bridge } from "./bridge.js";
import { type FileInfo, fileInfo } from "./file-info.js";
import { readInPages } from "./read-in-pages.js";

/** Options of a call that can be given up. */
export interface AbortOptions {
  /** Ends the call; the build goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Ref.readFile}. */
export interface ReadFileOptions extends AbortOptions {
  /** Byte to start at; default 0. */
  readonly offset?: number | undefined;
  /** Most bytes to read; default all. */
  readonly length?: number | undefined;
}

/** Options of {@link Ref.readDir}. */
export interface ReadDirOptions extends AbortOptions {
  /** Lists only entries whose names match, e.g. `*.conf`; default all. */
  readonly includePattern?: string | undefined;
}

/**
 * A filesystem that an open build holds on the daemon: the result of a gateway solve.
 *
 * It may be lazy: the first read, {@link Ref.evaluate} or its export builds it, and rejects with a `SolveError` if that
 * fails. All methods reject with `ERR_KILN_CLOSED` once the build is over.
 */
export class Ref {
  /** The daemon's name of it, valid within its build. */
  readonly id: string;
  readonly #bridge: Bridge;
  readonly #definition: PbRef["def"];

  /** For `Gateway.solve`. */
  constructor(bridge: Bridge, ref: PbRef) {
    this.id = ref.id;
    this.#bridge = bridge;
    this.#definition = ref.def;
  }

  /**
   * Reads a file. Links are followed within the filesystem. Large files are read in pieces: their size is limited by
   * this process's memory alone.
   *
   * Rejects with `SolveError` or `RpcError`, e.g. for a path that is not there.
   */
  readFile(path: string, options: ReadFileOptions = {}): Promise<Uint8Array> {
    const call = "readFile()";
    checkOptions(call, options, ["offset", "length", "signal"]);
    checkText(call, "path", path);
    return readInPages(call, options, (range) =>
      this.#bridge.call(
        async (client, rpc) =>
          (await client.readFile({ Ref: this.id, FilePath: path, Range: range }, rpc)).Data,
        options.signal,
      ),
    );
  }

  /** Lists a directory: its direct entries, by name. Rejects as {@link Ref.readFile} does. */
  async readDir(path: string, options: ReadDirOptions = {}): Promise<readonly FileInfo[]> {
    const call = "readDir()";
    checkOptions(call, options, ["includePattern", "signal"]);
    checkText(call, "path", path);
    const IncludePattern =
      options.includePattern === undefined ? "" : checkText(call, "includePattern", options.includePattern);
    const { entries } = await this.#bridge.call(
      (client, rpc) => client.readDir({ Ref: this.id, DirPath: path, IncludePattern }, rpc),
      options.signal,
    );
    return entries.map(fileInfo);
  }

  /** Describes a file; of a link, what it leads to within the filesystem. Rejects as {@link Ref.readFile} does. */
  async statFile(path: string, options: AbortOptions = {}): Promise<FileInfo> {
    checkOptions("statFile()", options, ["signal"]);
    checkText("statFile()", "path", path);
    const { stat } = await this.#bridge.call(
      (client, rpc) => client.statFile({ Ref: this.id, Path: path }, rpc),
      options.signal,
    );
    return fileInfo(stat ?? create(StatSchema, { path }));
  }

  /** Builds what is still lazy. Rejects with a `SolveError` if that fails. */
  async evaluate(options: AbortOptions = {}): Promise<void> {
    checkOptions("evaluate()", options, ["signal"]);
    await this.#bridge.call((client, rpc) => client.evaluate({ Ref: this.id }, rpc), options.signal);
  }

  /**
   * The state that this is the filesystem of, to build on. Surroundings (environment, directory …) start afresh.
   *
   * Throws as {@link Ref.toDefinition} does.
   */
  toState(): State {
    return fromDefinition(this.toDefinition());
  }

  /**
   * The graph that this is the filesystem of: of a frontend's result, what the frontend made.
   *
   * Throws `ERR_KILN_UNSUPPORTED` if the daemon sent no definition with it.
   */
  toDefinition(): Definition {
    if (this.#definition !== undefined) return Definition.fromFields(this.#definition);
    throw new KilnError("ERR_KILN_UNSUPPORTED", "the daemon sent no definition with this ref", {
      hint: "Use a BuildKit that has the capability reference.output, or build on the state that you solved.",
    });
  }
}
