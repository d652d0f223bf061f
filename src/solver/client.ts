import { homedir } from "node:os";
import { join } from "node:path";
import { checkOptions } from "../internal/check-options.js";
import { randomId } from "../internal/random-id.js";
import { untilAborted } from "../internal/until-aborted.js";
import { checkChoice, wrongArgument } from "../llb/check-argument.js";
import { Definition } from "../llb/definition.js";
import type { OutputRecord } from "../model/build-record.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { SolveEvent } from "../model/events.js";
import type { ImageConfig } from "../oci/image-config.js";
import { formatAddress, parseAddress } from "../rpc/address.js";
import { type Connection, openConnection } from "../rpc/connection.js";
import type { TlsOptions } from "../rpc/tls-options.js";
import type { ClientTokens } from "../session/auth.js";
import type { CredentialsProvider } from "../session/credentials.js";
import { dockerConfigDir, dockerCredentials } from "../session/docker-auth.js";
import type { RegistryTls } from "../session/fetch-token.js";
import { TokenSeeds } from "../session/token-seeds.js";
import { deleteHistory, followBuild, type HistoryOptions, listHistory, pinHistory } from "./build-history.js";
import {
  type DiskUsage,
  type DiskUsageOptions,
  diskUsage,
  type PruneOptions,
  type PruneResult,
  prune,
} from "./cache-control.js";
import { learnDaemonFacts } from "./capabilities.js";
import { EventHub } from "./event-hub.js";
import { type ExportHistoryOptions, exportHistory, type HistoryExport } from "./export-history.js";
import { askFrontend, type FrontendAnswers, frontendQuestions } from "./frontend/ask-frontend.js";
import { type DockerfileSolve, type FrontendSolve, frontendRequest } from "./frontend/frontend-solve.js";
import { treesKey } from "./frontend/trees-key.js";
import { historyAttestations } from "./history-attestations.js";
import { type BlobToRead, readHistoryBlob } from "./history-blob.js";
import { type HistoryErrorOptions, historyError } from "./history-error.js";
import type { HistoryAttestation, HistoryRecord } from "./history-record.js";
import { preflightVersions } from "./preflight-versions.js";
import { runSessionSolve } from "./run-session-solve.js";
import type { IgnoredFailure } from "./solve.js";
import type { SolveError } from "./solve-error.js";
import { solveEventHubOptions } from "./solve-event-retention.js";
import type { BuildFunction, Solved, SolveRequest } from "./solve-request.js";
import { checkSolveSettings, type SolveSettings } from "./solve-settings.js";
import { type LockSourcesOptions, lockedDefinition, lockSources } from "./source-lock/lock-sources.js";
import type { SourceLock } from "./source-lock/source-lock.js";

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
export interface ClientSolveOptions extends SolveSettings {
  /** Config of the image for outputs that have one. It is not inherited from any base. */
  readonly config?: ImageConfig | undefined;
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

/** A solve under way: iterate it for events, await `result`. The rules are those of `Build`. */
export interface Solve extends AsyncIterable<SolveEvent> {
  readonly ref: string;
  readonly result: Promise<ClientSolveResult>;
}

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

  /** Where secrets and ssh agents look for their variables. */
  get env(): Readonly<Record<string, string | undefined>> {
    return this.#env;
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
   * Solves a definition (`undefined` stands for an empty result), or lets a frontend of the daemon's make the result:
   * `{ frontend: "dockerfile.v0", frontendOptions: { target: "app" } }`, whose context and Dockerfile are the trees
   * `context` and `dockerfile`. Starts at once.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION` and the like for a wrong call. `result` rejects with
   * `SolveError`, with what the preflight refuses (`ERR_KILN_UNSUPPORTED`, …), with a connection's error, or with the
   * signal's reason.
   */
  solve(
    what: Definition | DockerfileSolve | FrontendSolve | undefined,
    options: ClientSolveOptions = {},
  ): Solve {
    if (what === undefined || what instanceof Definition) return this.#start({ definition: what }, options);
    if (options.config !== undefined) {
      throw wrongArgument("solve()", "a frontend makes the image's config itself", "Leave out config.");
    }
    return this.#start({ frontend: frontendRequest("solve()", what) }, options);
  }

  /**
   * Asks a frontend about a build instead of building: its `outline` (what it can be told), its `targets`, what `lint`
   * finds, or, by `describe`, what it can be asked.
   *
   * Throws as {@link Client.solve}. Rejects as its `result` does, and with `ERR_KILN_UNSUPPORTED` for what the frontend
   * cannot be asked.
   */
  askFrontend<Q extends keyof FrontendAnswers>(
    question: Q,
    what: DockerfileSolve | FrontendSolve,
    options: Pick<ClientSolveOptions, "trees" | "layouts" | "sharedKey" | "signal"> = {},
  ): Promise<FrontendAnswers[Q]> {
    const call = "askFrontend()";
    checkOptions(call, options, ["trees", "layouts", "sharedKey", "signal"]);
    checkChoice(call, "question", question, frontendQuestions);
    const request = frontendRequest(call, what);
    return askFrontend(question, request, async (asked, use) => {
      preflightVersions(await this.facts({ signal: options.signal }), {}, asked);
      await this.#start({ build: use }, { sharedKey: treesKey(options), ...options, internal: true }).result;
    });
  }

  /**
   * Runs a build as a program: `use` solves, reads and runs what it wants on the daemon, and returns what is to be
   * exported. What BuildKit calls a gateway client, and what frontends are written as.
   *
   * Throws as {@link Client.solve}. `result` rejects as that of {@link Client.solve} does, or with what `use` throws. The
   * gateway and its refs are of no use after `use` has settled.
   */
  build(use: BuildFunction, options: ClientSolveOptions = {}): Solve {
    if (typeof use !== "function") {
      throw wrongArgument("build()", "the build is no function", "Pass async (gateway) => { … }.");
    }
    return this.#start({ build: use }, options);
  }

  /**
   * Locks the sources of definitions: what `sourceLock` does before a solve, without the solve. See `lockSources`, which
   * it is.
   */
  lockSources(
    definitions: Definition | readonly Definition[],
    options: LockSourcesOptions = {},
  ): Promise<SourceLock> {
    return lockSources(this, definitions, options);
  }

  #start(solved: Omit<Solved, "config">, options: ClientSolveOptions): Solve {
    checkSolveSettings("solve()", options, { more: ["config"] });
    if (options.sourceLock !== undefined && (solved.build ?? solved.frontend) !== undefined) {
      throw wrongArgument(
        "solve()",
        "sourceLock is for definitions: the sources of a build function or a frontend are not known before it runs",
        "Pass sourcePolicy: sourceLockPolicy(lock).",
      );
    }
    const ref = randomId();
    const hub = new EventHub<SolveEvent>(solveEventHubOptions);
    const result = this.#run(ref, solved, options, hub).finally(() => hub.end());
    result.catch(() => {});
    return { ref, result, [Symbol.asyncIterator]: () => hub[Symbol.asyncIterator]() };
  }

  async #run(
    ref: string,
    solved: Omit<Solved, "config">,
    options: ClientSolveOptions,
    hub: EventHub<SolveEvent>,
  ): Promise<ClientSolveResult> {
    const { config, ...settings } = options;
    const facts = await this.facts({ signal: settings.signal });
    const definition = await this.#locked(solved.definition, settings);
    const request: SolveRequest = { ref, facts, settings, solved: { ...solved, definition, config } };
    const { answer, outputs } = await runSessionSolve(this, request, (event) => hub.push(event));
    const { exporterResponse, ignoredFailures } = answer;
    return { ref, outputs, exporterResponse, ignoredFailures };
  }

  async #locked(
    definition: Definition | undefined,
    { sourceLock: lock, pull, credentials, secrets, ssh, sourcePolicy, signal }: SolveSettings,
  ): Promise<Definition | undefined> {
    if (definition === undefined || lock === undefined) return definition;
    const options = { lock, pull, credentials, secrets, ssh, sourcePolicy, signal };
    return (await lockedDefinition(this, definition, options)).definition;
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
