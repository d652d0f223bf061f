import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { checkOptions } from "../internal/check-options.js";
import { randomId } from "../internal/random-id.js";
import { untilAborted } from "../internal/until-aborted.js";
import { checkChoice, wrongArgument } from "../llb/check-argument.js";
import type { Definition } from "../llb/definition.js";
import type { OutputRecord } from "../model/build-record.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { SolveEvent } from "../model/events.js";
import type { ImageConfig } from "../oci/image-config.js";
import { formatAddress, parseAddress } from "../rpc/address.js";
import { type Connection, openConnection } from "../rpc/connection.js";
import type { TlsOptions } from "../rpc/tls-options.js";
import type { ClientTokens, CredentialsProvider } from "../session/auth.js";
import { dockerConfigDir, dockerCredentials } from "../session/docker-auth.js";
import type { RegistryTls } from "../session/fetch-token.js";
import type { LocalTree } from "../session/file-sync.js";
import type { SourceVerifier } from "../session/policy-verifier.js";
import type { SecretSource } from "../session/secrets.js";
import type { SshSource } from "../session/ssh.js";
import { TokenSeeds } from "../session/token-seeds.js";
import type { UploadSource } from "../session/upload.js";
import { type AttestationOptions, attestationAttrs } from "./attestation-options.js";
import { deleteHistory, followBuild, type HistoryOptions, listHistory, pinHistory } from "./build-history.js";
import {
  type DiskUsage,
  type DiskUsageOptions,
  diskUsage,
  type PruneOptions,
  type PruneResult,
  prune,
} from "./cache-control.js";
import { type CacheOptions, checkCaches } from "./cache-transfer.js";
import { learnDaemonFacts } from "./capabilities.js";
import { EventHub } from "./event-hub.js";
import { type ExportHistoryOptions, exportHistory, type HistoryExport } from "./export-history.js";
import { historyAttestations } from "./history-attestations.js";
import { type BlobToRead, readHistoryBlob } from "./history-blob.js";
import { type HistoryErrorOptions, historyError } from "./history-error.js";
import type { HistoryAttestation, HistoryRecord } from "./history-record.js";
import type { Output } from "./outputs.js";
import { preflight } from "./preflight.js";
import { preflightVersions } from "./preflight-versions.js";
import { type OutputChooser, runSessionSolve } from "./run-session-solve.js";
import type { BuildFunction, IgnoredFailure, SolveRequestOptions } from "./solve.js";
import type { SolveError } from "./solve-error.js";
import { solveEventHubOptions } from "./solve-event-retention.js";
import { solvedWithConfig } from "./solved-with-config.js";
import { type SourcePolicy, sourcePolicyToPb } from "./source-policy.js";

/** Options of {@link Client.connect}. */
export interface ClientOptions {
  /** Certificates for `tcp://` and `docker://host:port`. */
  readonly tls?: TlsOptions | undefined;
  /** Environment for Docker's config and secrets; default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Credentials for registries; default: Docker's config and its helpers. */
  readonly credentials?: CredentialsProvider | undefined;
  /**
   * For which registries this client fetches the tokens, in place of the daemon: `authenticated` (default) = those that
   * it has credentials for, whose password the daemon then never sees; `always` = anonymous tokens too; `never`.
   * `BUILDKIT_NO_CLIENT_TOKEN=1` in the environment means `never`.
   */
  readonly clientTokens?: "authenticated" | "always" | "never" | undefined;
  /** Certificates for the token servers of registries, by registry host; default: what Node trusts. */
  readonly registryTls?: Readonly<Record<string, RegistryTls>> | undefined;
}

/** What {@link Client.solve} may be told. */
export interface ClientSolveOptions extends CacheOptions {
  /** Default none: the solve fills the daemon's cache alone. */
  readonly outputs?: readonly Output[] | undefined;
  /** Config of the image for outputs that have one. It is not inherited from any base. */
  readonly config?: ImageConfig | undefined;
  /** Local trees by the name in `local://NAME`. */
  readonly trees?: ReadonlyMap<string, LocalTree> | undefined;
  /** OCI layout directories by the store name of `oci-layout://` sources. */
  readonly layouts?: ReadonlyMap<string, string> | undefined;
  /** Secrets by id. */
  readonly secrets?: Readonly<Record<string, SecretSource>> | undefined;
  /** Ssh agents and sockets by id; `default` is what steps get that name none. */
  readonly ssh?: Readonly<Record<string, SshSource>> | undefined;
  /** What sources with URLs `http://buildkit-session/ID` give, by id: bytes or a stream of this machine. */
  readonly uploads?: Readonly<Record<string, UploadSource>> | undefined;
  /** E.g. `network.host`, `security.insecure`, `device`. */
  readonly entitlements?: readonly string[] | undefined;
  /** Seconds since 1970 to which the times of what is made are clamped. */
  readonly sourceDateEpoch?: number | undefined;
  /** Attestations that the daemon makes of the result: provenance, bill of materials. */
  readonly attestations?: AttestationOptions | undefined;
  /** Rules about what the build may be made of. */
  readonly sourcePolicy?: SourcePolicy | undefined;
  /** Decides about each source as it comes up; see {@link SourceVerifier}. Needs BuildKit 0.26. */
  readonly verifySource?: SourceVerifier | undefined;
  /** Chooses more outputs once the result is known, from its metadata. Needs BuildKit 0.21. */
  readonly chooseOutputs?: OutputChooser | undefined;
  /** Pins what exporters do by default to that of a BuildKit generation: 10, 20 or 30. Needs BuildKit 0.30. */
  readonly compatibilityVersion?: 10 | 20 | 30 | undefined;
  /** Tells apart the daemon's copies of local trees of one name; default: this machine. */
  readonly sharedKey?: string | undefined;
  /** Keep the solve out of the daemon's build history. Default false. */
  readonly internal?: boolean | undefined;
  /** Cancels the solve on the daemon. */
  readonly signal?: AbortSignal | undefined;
}

/** What a solve made. */
export interface ClientSolveResult {
  readonly ref: string;
  readonly outputs: readonly OutputRecord[];
  /** The daemon's raw answer, e.g. `containerimage.digest`. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  /**
   * What failed although the solve succeeded: caches that could not be imported, those that could not be exported under
   * `ignoreError`, and in a {@link Client.build} what the build function caught.
   */
  readonly ignoredFailures: readonly IgnoredFailure[];
}

const solveKeys: readonly string[] = [
  ...["outputs", "config", "trees", "layouts", "secrets", "ssh", "uploads", "entitlements"],
  ...["sourceDateEpoch", "attestations", "sourcePolicy", "compatibilityVersion", "cacheExports"],
  ...["cacheImports", "sharedKey", "internal", "signal", "verifySource", "chooseOutputs"],
];

/** A solve under way: iterate it for events, await `result`. The rules are those of `Build`. */
export interface Solve extends AsyncIterable<SolveEvent> {
  readonly ref: string;
  readonly result: Promise<ClientSolveResult>;
}

type SolvedThing = Pick<SolveRequestOptions, "definition" | "build">;

/**
 * A client of one BuildKit daemon, for LLB definitions of your own.
 *
 * Connects on the first call and reconnects by itself; one may be used for any number of solves at once.
 */
export class Client implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #credentials: CredentialsProvider;
  readonly #tokens: ClientTokens;
  #facts: Promise<DaemonFacts> | undefined;

  private constructor(connection: Connection, options: ClientOptions) {
    this.#connection = connection;
    this.#env = options.env ?? process.env;
    this.#credentials =
      options.credentials ??
      ((host, signal) => dockerCredentials(host, { env: this.#env, home: homedir(), signal }));
    const isOff = /^(?:1|t|true)$/i.test(this.#env["BUILDKIT_NO_CLIENT_TOKEN"] ?? "");
    this.#tokens = {
      when: isOff ? "never" : (options.clientTokens ?? "authenticated"),
      seeds: new TokenSeeds(join(dockerConfigDir(this.#env, homedir()), ".token_seed")),
      tls: options.registryTls,
    };
  }

  /** Who fetches the tokens of registries. */
  get tokens(): ClientTokens {
    return this.#tokens;
  }

  /**
   * Makes a client for an address, see `parseAddress`: `unix://`, `tcp://`, `docker://`, or one of another program that
   * connects (`docker-container://`, `ssh://` …). Nothing is sent yet.
   *
   * Rejects with `ERR_KILN_INVALID_ADDRESS`, `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`, or `ERR_KILN_TLS`
   * for certificate files that cannot be read.
   */
  static async connect(address: string, options: ClientOptions = {}): Promise<Client> {
    const call = "Client.connect()";
    checkOptions(call, options, ["tls", "env", "credentials", "clientTokens", "registryTls"]);
    checkChoice(call, "clientTokens", options.clientTokens ?? "never", ["authenticated", "always", "never"]);
    return new Client(await openConnection(parseAddress(address), { tls: options.tls }), options);
  }

  /** The daemon's address. */
  get address(): string {
    return formatAddress(this.#connection.address);
  }

  /** The connection underneath, for the other parts of the engine. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Answers the daemon's questions for registry credentials. */
  get credentials(): CredentialsProvider {
    return this.#credentials;
  }

  /** What the daemon is and can do; asked once, then remembered. A failure is not remembered. */
  facts(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<DaemonFacts> {
    this.#facts ??= learnDaemonFacts(this.#connection).catch((error: unknown) => {
      this.#facts = undefined;
      throw error;
    });
    // Shared by all callers: one that gives up stops waiting, and the others go on.
    return untilAborted(this.#facts, options.signal);
  }

  /**
   * Solves a definition; `undefined` stands for an empty result. Starts at once.
   *
   * `result` rejects with `SolveError`, with what the preflight refuses (`ERR_KILN_UNSUPPORTED`, …), with a
   * connection's error, or with the signal's reason.
   */
  solve(definition: Definition | undefined, options: ClientSolveOptions = {}): Solve {
    return this.#start({ definition }, options);
  }

  /**
   * Runs a build as a program: `use` solves, reads and runs what it wants on the daemon, and returns what is to be
   * exported. What BuildKit calls a gateway client, and what frontends are written as.
   *
   * `result` rejects as that of {@link Client.solve} does, or with what `use` throws. The gateway and its refs are of no
   * use after `use` has settled.
   */
  build(use: BuildFunction, options: ClientSolveOptions = {}): Solve {
    if (typeof use !== "function") {
      throw wrongArgument("build()", "the build is no function", "Pass async (gateway) => { … }.");
    }
    return this.#start({ build: use }, options);
  }

  #start(what: SolvedThing, options: ClientSolveOptions): Solve {
    const ref = randomId();
    const hub = new EventHub<SolveEvent>(solveEventHubOptions);
    const result = this.#run(ref, what, options, hub).finally(() => hub.end());
    result.catch(() => {});
    return { ref, result, [Symbol.asyncIterator]: () => hub[Symbol.asyncIterator]() };
  }

  async #run(
    ref: string,
    what: SolvedThing,
    options: ClientSolveOptions,
    hub: EventHub<SolveEvent>,
  ): Promise<ClientSolveResult> {
    checkOptions("solve()", options, solveKeys);
    const { signal, config, entitlements, sourceDateEpoch, internal } = options;
    const { attestations, sourcePolicy, compatibilityVersion, cacheExports, cacheImports } = options;
    const outputs = options.outputs ?? [];
    const { chooseOutputs, verifySource } = options;
    checkCaches(options);
    attestationAttrs(attestations);
    if (compatibilityVersion !== undefined && ![10, 20, 30].includes(compatibilityVersion)) {
      throw wrongArgument(
        "solve()",
        `compatibilityVersion ${String(compatibilityVersion)} is none of 10, 20 and 30`,
        "Leave it out for the daemon's newest.",
      );
    }
    if (sourcePolicy !== undefined) sourcePolicyToPb(sourcePolicy);
    const layouts = options.layouts ?? new Map<string, string>();
    const facts = await this.facts({ signal });
    preflight(facts, { outputs, definition: what.definition, layouts: [...layouts.values()] });
    preflightVersions(facts, {
      ...{ outputs, attestations, compatibilityVersion, cacheExports, cacheImports },
      ...{ chooseOutputs, verifySource },
    });
    const { answer, outputs: records } = await runSessionSolve(
      this.#connection,
      {
        outputs,
        signal,
        caches: { cacheExports, cacheImports },
        chooseOutputs,
        chosenImage: { config, sourceDateEpoch },
        sharedKey: options.sharedKey ?? hostname(),
        resources: {
          trees: options.trees,
          layouts,
          secrets: options.secrets,
          ssh: options.ssh,
          uploads: options.uploads,
          verifySource,
          credentials: this.#credentials,
          tokens: this.#tokens,
          env: this.#env,
        },
        request: () =>
          Promise.resolve({
            ...solvedWithConfig(facts, { ...what, config }),
            ...{ ref, facts, entitlements, sourceDateEpoch, internal },
            ...{ attestations, sourcePolicy, compatibilityVersion },
          }),
      },
      (event) => hub.push(event),
    );
    const { exporterResponse, ignoredFailures } = answer;
    return { ref, outputs: records, exporterResponse, ignoredFailures };
  }

  /**
   * The records of the daemon's build cache.
   *
   * Rejects with `ERR_KILN_UNKNOWN_OPTION`, `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNSUPPORTED`, `RpcError`, or the
   * signal's reason.
   */
  diskUsage(options: DiskUsageOptions = {}): Promise<DiskUsage> {
    return diskUsage(this, options);
  }

  /** Removes records of the daemon's build cache that no build uses. Rejects as {@link Client.diskUsage} does. */
  prune(options: PruneOptions = {}): Promise<PruneResult> {
    return prune(this, options);
  }

  /**
   * The builds that the daemon knows of, newest first.
   *
   * Rejects with `ERR_KILN_UNKNOWN_OPTION`, `ERR_KILN_INVALID_ARGUMENT`, `RpcError`, or the signal's reason.
   */
  history(options: HistoryOptions = {}): Promise<readonly HistoryRecord[]> {
    return listHistory(this.#connection, options);
  }

  /**
   * Keeps a build when the daemon clears its history (`pinned` true), or lets it go again.
   *
   * Rejects with `ERR_KILN_BUILD_NOT_FOUND`, `ERR_KILN_INVALID_ARGUMENT`, `RpcError`, or the signal's reason.
   */
  pinHistory(
    ref: string,
    pinned: boolean,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    return pinHistory(this.#connection, ref, pinned, options);
  }

  /** Removes a build from the daemon's history; what it made stays. Rejects as {@link Client.pinHistory} does. */
  deleteHistory(ref: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return deleteHistory(this.#connection, ref, options);
  }

  /**
   * The events of a build that this or another client started: attach again after a lost client, or replay a build that
   * is over. Ends with the build; leaving the loop early leaves the build alone.
   *
   * Throws `ERR_KILN_BUILD_NOT_FOUND` (after the six seconds that BuildKit waits for an unknown ref),
   * `ERR_KILN_INVALID_ARGUMENT`, `RpcError`, or the signal's reason.
   */
  follow(
    ref: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<SolveEvent, void, undefined> {
    return followBuild(this.#connection, ref, options);
  }

  /**
   * Why a build failed, as its solve rejected; `undefined` if it did not, or still runs (unless told to `wait` for its
   * end). The error is not thrown.
   *
   * Rejects with `ERR_KILN_BUILD_NOT_FOUND`, what {@link Client.readHistoryBlob} throws, `ERR_KILN_INVALID_ARGUMENT`,
   * `RpcError`, or the signal's reason.
   */
  historyError(ref: string, options: HistoryErrorOptions = {}): Promise<SolveError | undefined> {
    return historyError(this.#connection, ref, options);
  }

  /**
   * All attestations of a build: those of its record, and those of the images that it exported. Rejects as
   * {@link Client.historyError} does, and with `ERR_KILN_PROTOCOL` for an index or manifest that is none.
   */
  historyAttestations(
    ref: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly HistoryAttestation[]> {
    return historyAttestations(this.#connection, ref, options);
  }

  /**
   * A blob that a history record (or an image of it) names, piece by piece, its size and digest checked. Pass a blob of the
   * record, or a digest.
   *
   * Throws `ERR_KILN_INVALID_DIGEST` and the like at the call; the loop throws `ERR_KILN_BLOB_NOT_FOUND`,
   * `ERR_KILN_TRUNCATED`, `ERR_KILN_LIMIT_EXCEEDED`, `ERR_KILN_DIGEST_MISMATCH`, `ERR_KILN_PROTOCOL`,
   * `ERR_KILN_UNSUPPORTED`, `RpcError`, or the signal's reason.
   */
  readHistoryBlob(
    blob: BlobToRead | string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    return readHistoryBlob(this.#connection, blob, options);
  }

  /**
   * Writes builds to one bundle that Docker Desktop and `docker buildx history import` read: see
   * {@link ExportHistoryOptions}. Access keys are taken out; nothing half-written stays.
   *
   * Rejects with `ERR_KILN_BUILD_NOT_FOUND`, `ERR_KILN_BUILD_RUNNING`, `ERR_KILN_OUTPUT_EXISTS`,
   * `ERR_KILN_OUTPUT_UNWRITABLE`, what {@link Client.readHistoryBlob} throws, `ERR_KILN_INVALID_ARGUMENT`, `RpcError`, or
   * the signal's reason.
   */
  exportHistory(refs: string | readonly string[], options: ExportHistoryOptions): Promise<HistoryExport> {
    return exportHistory(this, refs, options);
  }

  /** Ends the connection and every call on it. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
