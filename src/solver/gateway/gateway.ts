import type { PongResponse } from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import {
  checkChoice,
  checkDigest,
  checkFlag,
  checkInteger,
  checkName,
  checkRecord,
  checkText,
  checkTexts,
  wrongArgument,
} from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import type { HasStateProps } from "../../llb/state-props.js";
import type { DaemonFacts } from "../../model/daemon.js";
import type { Platform } from "../../oci/platform.js";
import type { CacheEntry } from "../caches/cache-transfer.js";
import { platformToPb } from "../platform-pb.js";
import { refuseMissingCaps } from "../preflight.js";
import type { Bridge } from "./bridge.js";
import { type Container, createContainer, type ProcessOptions } from "./container.js";
import { type ContainerOptions, containerRequest } from "./container-request.js";
import type { AbortOptions } from "./ref.js";
import { failedCommand } from "./reopen.js";
import { type GatewayResult, resultFromPb } from "./result.js";
import {
  neededCap,
  type SourceId,
  type SourceMeta,
  type SourceMetaOptions,
  sourceIdOf,
  sourceMetaFrom,
  sourceMetaRequest,
} from "./source-meta.js";

/** Options of {@link Gateway.solve}: a definition or a frontend. */
export interface GatewaySolveOptions extends AbortOptions {
  /** What to solve. One without ops is an empty filesystem. */
  readonly definition?: Definition | undefined;
  /** A frontend that the daemon has (`dockerfile.v0`), or `gateway.v0` with the option `source`. */
  readonly frontend?: string | undefined;
  /** The frontend's options, e.g. `filename`, `target`, `build-arg:NAME`. */
  readonly frontendOptions?: Readonly<Record<string, string>> | undefined;
  /** Graphs for the frontend, by the names that its options use, e.g. `context`. */
  readonly frontendInputs?: Readonly<Record<string, Definition>> | undefined;
  /** Builds at once what is solved. Default false: the first read or the export does. */
  readonly evaluate?: boolean | undefined;
}

/** What the build as a whole was told that every solve within it needs. */
export interface GatewayDefaults {
  /** The daemon applies those of a build only to solves that name them. */
  readonly cacheImports?: readonly CacheEntry[] | undefined;
}

/** Options of {@link Gateway.warn}. */
export interface WarnOptions extends AbortOptions {
  /** More text, line by line. */
  readonly detail?: readonly string[] | undefined;
  /** Where more is said. */
  readonly url?: string | undefined;
  /** BuildKit's levels: 1 for most warnings. Default 1. */
  readonly level?: number | undefined;
  /** The file that it is about. */
  readonly source?:
    | {
        readonly filename: string;
        readonly data: Uint8Array;
        readonly language?: string | undefined;
        /** 1-based lines, 0-based characters. */
        readonly ranges: readonly {
          readonly startLine: number;
          readonly startCharacter?: number | undefined;
          readonly endLine: number;
          readonly endCharacter?: number | undefined;
        }[];
      }
    | undefined;
}

/** An image reference as a daemon resolved it. */
export interface ResolvedImage {
  /** The reference the daemon would use (source policies may have changed it). */
  readonly ref: string;
  /** Digest of the manifest or index. */
  readonly digest: string;
  /** The image config's JSON, as bytes. */
  readonly config: Uint8Array;
}

/** Options of {@link Gateway.resolveImageConfig}. */
export interface ResolveImageOptions extends AbortOptions {
  readonly platform: Platform;
  /** `default` takes what the daemon has, `pull` asks the registry, `local` never does. */
  readonly resolveMode?: "default" | "pull" | "local" | undefined;
  /** Takes the image from an OCI layout that this build's session serves, instead of from a registry. */
  readonly layout?: { readonly store: string; readonly sessionId: string } | undefined;
}

/** A failed command, reopened: see {@link Gateway.reopen}. */
export interface ReopenedCommand {
  /** A container with the command's mounts as it left them. */
  readonly container: Container;
  /** The command itself with its surroundings: pass it to `container.start`, as it is or changed. */
  readonly process: ProcessOptions;
}

/**
 * What a build function may ask of the daemon while its build is open.
 *
 * All methods reject with `SolveError` or `RpcError` for what the daemon refuses, with `ERR_KILN_CLOSED` once the
 * build is over, and with the reason of an aborted signal.
 */
export class Gateway {
  readonly #bridge: Bridge;
  readonly #facts: DaemonFacts | undefined;

  readonly #defaults: GatewayDefaults;

  /** For this package: `Client.build` makes one for each build. */
  constructor(bridge: Bridge, facts: DaemonFacts | undefined, defaults: GatewayDefaults = {}) {
    this.#bridge = bridge;
    this.#facts = facts;
    this.#defaults = defaults;
  }

  /** The daemon's capabilities and workers. */
  ping(options: AbortOptions = {}): Promise<PongResponse> {
    return this.#bridge.call((client, rpc) => client.ping({}, rpc), options.signal);
  }

  /**
   * Solves a definition, or runs a frontend.
   *
   * Lazy: what is solved is built by the first read of its ref or by the export, unless `evaluate` is set. Rejects
   * with a `SolveError` for a build that failed; such an error can be passed to {@link Gateway.reopen}. Throws
   * `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`, and `ERR_KILN_UNSUPPORTED` for a definition that needs
   * what the daemon lacks.
   */
  async solve(options: GatewaySolveOptions): Promise<GatewayResult> {
    const call = "solve()";
    checkOptions(call, options, [
      ...["definition", "frontend", "frontendOptions", "frontendInputs", "evaluate", "signal"],
    ]);
    const { definition, frontend, frontendInputs = {} } = options;
    if ((definition === undefined) === (frontend === undefined)) {
      throw wrongArgument(call, "neither or both of definition and frontend are given", "Pass one of them.");
    }
    for (const one of [definition, ...Object.values(frontendInputs)]) {
      if (one === undefined) continue;
      if (!(one instanceof Definition)) {
        throw wrongArgument(call, "a definition is no Definition", "Pass what marshal(state) returned.");
      }
      if (this.#facts !== undefined) refuseMissingCaps(this.#facts, one);
    }
    const frontendOptions = checkRecord(call, "frontendOptions", options.frontendOptions ?? {});
    const response = await this.#bridge.call(
      (client, rpc) =>
        client.solve(
          {
            ...(definition === undefined ? {} : { Definition: definition.toMessage() }),
            Frontend: frontend === undefined ? "" : checkName(call, "frontend", frontend),
            FrontendOpt: Object.fromEntries(frontendOptions),
            FrontendInputs: Object.fromEntries(
              Object.entries(frontendInputs).map(([name, input]) => [name, input.toMessage()]),
            ),
            Evaluate: checkFlag(call, "evaluate", options.evaluate),
            CacheImports: (this.#defaults.cacheImports ?? []).map(({ type, attrs }) => ({
              Type: type,
              Attrs: { ...attrs },
            })),
            allowResultReturn: true,
            allowResultArrayRef: true,
          },
          rpc,
        ),
      options.signal,
    );
    return resultFromPb(this.#bridge, response.result);
  }

  /** Resolves an image reference to digest and config for one platform. */
  async resolveImageConfig(ref: string, options: ResolveImageOptions): Promise<ResolvedImage> {
    const call = "resolveImageConfig()";
    checkOptions(call, options, ["platform", "resolveMode", "layout", "signal"]);
    const { platform, layout } = options;
    const modes = ["default", "pull", "local"] as const;
    const resolveMode = checkChoice(call, "resolveMode", options.resolveMode ?? "default", modes);
    const response = await this.#bridge.call(
      (client, rpc) =>
        client.resolveImageConfig(
          {
            Ref: checkName(call, "ref", ref),
            Platform: platformToPb(platform),
            ResolveMode: resolveMode,
            LogName: `resolve ${ref}`,
            ...(layout === undefined
              ? {}
              : { ResolverType: 1, SessionID: layout.sessionId, StoreID: layout.store }),
          },
          rpc,
        ),
      options.signal,
    );
    return {
      ref: response.Ref === "" ? ref : response.Ref,
      digest: response.Digest,
      config: response.Config,
    };
  }

  /**
   * Resolves a source without fetching its content: an image's digest and config, a repository's commit, a file's
   * digest. The latter two are known from BuildKit 0.26 on.
   *
   * Throws `ERR_KILN_UNSUPPORTED` for what the daemon does not list.
   */
  async resolveSourceMeta(
    source: HasStateProps | SourceId,
    options: SourceMetaOptions = {},
  ): Promise<SourceMeta> {
    const call = "resolveSourceMeta()";
    const id = sourceIdOf(call, source);
    const request = sourceMetaRequest(call, id, options);
    this.#bridge.need("source.metaresolver", "0.13");
    const cap = neededCap(options);
    if (cap !== undefined) this.#bridge.need(cap, "0.28");
    const response = await this.#bridge.call(
      (client, rpc) => client.resolveSourceMeta(request, rpc),
      options.signal,
    );
    return sourceMetaFrom(id, response);
  }

  /** Reports a warning about an op, by its digest: it becomes an event of the build and part of its history. */
  async warn(vertex: string, message: string, options: WarnOptions = {}): Promise<void> {
    const call = "warn()";
    checkOptions(call, options, ["detail", "url", "level", "source", "signal"]);
    const { source } = options;
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    await this.#bridge.call(
      (client, rpc) =>
        client.warn(
          {
            digest: checkDigest(call, "vertex", vertex),
            level: BigInt(checkInteger(call, "level", options.level ?? 1, 0, 0x7fffffff)),
            short: bytes(checkText(call, "message", message)),
            detail: checkTexts(call, "detail", options.detail ?? []).map(bytes),
            url: options.url === undefined ? "" : checkText(call, "url", options.url),
            ...(source === undefined
              ? {}
              : {
                  info: {
                    filename: source.filename,
                    data: source.data,
                    language: source.language ?? "",
                  },
                  ranges: source.ranges.map(({ startLine, startCharacter, endLine, endCharacter }) => ({
                    start: { line: startLine, character: startCharacter ?? 0 },
                    end: { line: endLine, character: endCharacter ?? 0 },
                  })),
                }),
          },
          rpc,
        ),
      options.signal,
    );
  }

  /** Prepares a container from refs of this build. Mounted refs that are still lazy are built. */
  async newContainer(options: ContainerOptions): Promise<Container> {
    const request = containerRequest("newContainer()", options);
    return createContainer(this.#bridge, request, options.signal);
  }

  /**
   * A container with what a failed command left: its mounts as they were when it failed.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` for an error that is not that of a command of this build.
   */
  async reopen(error: unknown, options: AbortOptions = {}): Promise<ReopenedCommand> {
    const { container, process } = failedCommand("reopen()", error);
    return { container: await createContainer(this.#bridge, container, options.signal), process };
  }
}
