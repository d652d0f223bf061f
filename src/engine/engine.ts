import { homedir } from "node:os";
import { KilnError } from "../errors.js";
import { builderVersion } from "../image/builder-version.js";
import { Image } from "../image/image.js";
import { checkCaBundle, checkFlag } from "../image/step-options.js";
import { cacheDirectory } from "../internal/cache-directory.js";
import { captureCallSite } from "../internal/call-site.js";
import { checkOptions } from "../internal/check-options.js";
import { randomId } from "../internal/random-id.js";
import { checkChoice, checkText } from "../llb/check-argument.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { BuildEvent } from "../model/events.js";
import type { Explanation } from "../model/explanation.js";
import { parseImageName } from "../oci/image-name.js";
import { type Candidate, discover } from "../rpc/discover.js";
import type { TlsOptions } from "../rpc/tls-options.js";
import type { CredentialsProvider } from "../session/credentials.js";
import type { RegistryTls } from "../session/fetch-token.js";
import type { Client } from "../solver/client.js";
import { EventHub } from "../solver/event-hub.js";
import { eventRetention, logsDropped } from "../solver/solve-event-retention.js";
import { checkSolveSettings } from "../solver/solve-settings.js";
import { type Build, type BuildOptions, buildOptionKeys, chainSettings } from "./build.js";
import type { ExplainedRefs } from "./explain.js";
import type { EngineSettings } from "./inputs/gather.js";
import type { SecretProvider } from "./inputs/gather-secrets.js";
import { NoDaemonError } from "./no-daemon-error.js";
import { imagePlace } from "./outputs/image-place.js";
import { ownEngineAddress } from "./own-engine.js";
import type { BuildPlan } from "./plan-only.js";
import { checkMirrors, type Mirrors } from "./registries/mirrors.js";
import { RegistryAccess } from "./registries/registry-access.js";
import type { Run, RunOptions } from "./run.js";

/** What {@link Engine.connect} may be told. */
export interface ConnectOptions {
  /** Address of the daemon: `unix://`, `tcp://` or `docker://`. Default: looked for (see {@link Engine.connect}). */
  readonly host?: string | undefined;
  /** Certificates for `tcp://` and `docker://host:port`. */
  readonly tls?: TlsOptions | undefined;
  /** Environment to look in; default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Credentials for registries; default: Docker's config and its helpers. */
  readonly credentials?: CredentialsProvider | undefined;
  /** Who knows the secrets that chains name (`Secret.fromName`), asked in this order. Default nobody. */
  readonly secretProviders?: readonly SecretProvider[] | undefined;
  /**
   * For which registries this process fetches the tokens, in place of the daemon: `authenticated` (default) = those that
   * it has credentials for, whose password the daemon then never sees; `always` = anonymous tokens too; `never`.
   */
  readonly clientTokens?: "authenticated" | "always" | "never" | undefined;
  /** Where bases come from in place of the registries that they name; see {@link Mirrors}. Default nowhere else. */
  readonly mirrors?: Mirrors | undefined;
  /**
   * A PEM file of the certificates that steps' programs trust, for networks that read TLS traffic. Default: those of the
   * image. Relative to a build's working directory.
   */
  readonly caBundle?: string | undefined;
  /**
   * Where images are published under names: an absolute directory, or `registry:HOST/REPOSITORY`, which all engines may
   * share. Default: `images` in Kiln's data directory (`KILN_DATA_DIR`, else `$XDG_DATA_HOME/kiln`).
   */
  readonly imageStore?: string | undefined;
  /** Epoch of built-in steps for builds that name none. Default: the newest. */
  readonly builderVersion?: string | undefined;
  /** Certificates for the token servers of registries, by registry host; default: what Node trusts. */
  readonly registryTls?: Readonly<Record<string, RegistryTls>> | undefined;
}

/**
 * Builds images on one BuildKit daemon.
 *
 * Any number of builds may run at once. Close it (or use `await using`) to let the process end.
 */
export class Engine implements AsyncDisposable {
  /** The daemon's address. */
  readonly address: string;
  /** What named that address: `host`, `KILN_HOST`, `buildkitd`, `Docker`, … */
  readonly source: string;
  readonly #candidate: Candidate;
  readonly #options: ConnectOptions;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #registries: RegistryAccess;
  readonly #closed = new AbortController();
  #client: Promise<Client> | undefined;

  private constructor(candidate: Candidate, options: ConnectOptions) {
    this.#candidate = candidate;
    this.#options = options;
    this.#env = options.env ?? process.env;
    this.address = candidate.address;
    this.source = candidate.source;
    const { credentials, registryTls } = options;
    this.#registries = new RegistryAccess({ credentials, registryTls, env: this.#env });
  }

  /**
   * Picks a daemon: `host`, else `KILN_HOST`, `BUILDKIT_HOST`, buildkitd's socket, Kiln's own engine, Docker's
   * current context, Docker's socket.
   *
   * Looks at sockets alone; nothing is asked yet. Rejects with {@link NoDaemonError} (`ERR_KILN_NO_DAEMON`)
   * listing every place, or `ERR_KILN_INVALID_ADDRESS` for a named address that is none.
   */
  static async connect(options: ConnectOptions = {}): Promise<Engine> {
    checkOptions("Engine.connect", options, [
      ...["host", "tls", "env", "credentials", "clientTokens", "registryTls", "secretProviders"],
      ...["mirrors", "caBundle", "builderVersion", "imageStore"],
    ]);
    checkMirrors("Engine.connect", options.mirrors ?? {});
    if (options.imageStore !== undefined) imagePlace(options.imageStore, {});
    if (options.builderVersion !== undefined) builderVersion(options.builderVersion);
    if (options.clientTokens !== undefined) {
      checkChoice("Engine.connect", "clientTokens", options.clientTokens, [
        "authenticated",
        "always",
        "never",
      ]);
    }
    const env = options.env ?? process.env;
    const home = env["HOME"] ?? homedir();
    const extra = [{ address: ownEngineAddress(env, home), source: "kiln engine" }];
    const candidates = await discover({
      extra,
      host: options.host,
      hostSource: "host",
      env,
      home,
    });
    const chosen = candidates.find(({ explicit, found }) => explicit || found);
    if (chosen === undefined || !chosen.found) throw new NoDaemonError(candidates);
    return new Engine(chosen, options);
  }

  /** What the daemon is and can do; asked once. */
  async facts(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<DaemonFacts> {
    return (await this.client()).facts(options);
  }

  /** The client underneath, for definitions of your own. Loads gRPC. */
  client(): Promise<Client> {
    this.#client ??= this.#open();
    return this.#client;
  }

  /**
   * Builds an image. Starts at once.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_UNKNOWN_OPTION` at the call for what is wrong in it;
   * everything else rejects `result`: `ERR_KILN_FILE_NOT_FOUND` for local inputs (before any connection),
   * connection errors, `ERR_KILN_UNSUPPORTED` and the like, `SolveError` for a failed step.
   */
  build(image: Image, options: BuildOptions = {}): Build {
    checkBuild("build", image, options);
    const ref = randomId();
    const hub = new EventHub<BuildEvent>({ retention: eventRetention, dropped: logsDropped });
    const result = (async () => {
      const { runBuild } = await import("./run-build.js");
      // Local problems come first, before gRPC is even loaded and a connection made.
      return runBuild(image, options, {
        address: this.address,
        connect: () => this.client(),
        engine: this.#settings(),
        ref,
        closed: this.#closed.signal,
        emit: (event) => hub.push(event),
      });
    })().finally(() => hub.end());
    result.catch(() => {});
    return { ref, result, [Symbol.asyncIterator]: () => hub[Symbol.asyncIterator]() };
  }

  /**
   * What a build would carry out: the chain compiled for the daemon, with its bases resolved; and a forecast by the records
   * of earlier builds: which steps would run and why, what would be sent, and how long it would take. Runs nothing.
   *
   * Throws and rejects as {@link Engine.build} does before it solves. `plan.toSnapshot()` shows it as text. Options about
   * what becomes of the result (outputs, `publish`, cache exports, attestations) are checked and change no plan; the
   * forecast looks whether what they ask for is there.
   */
  async plan(image: Image, options: BuildOptions = {}): Promise<BuildPlan> {
    checkBuild("plan", image, options);
    const { planOnly } = await import("./plan-only.js");
    return planOnly(image, options, { client: await this.client(), engine: this.#settings() });
  }

  /**
   * Why the steps of a recorded build ran (`build`: its `ref` or the beginning of it; default the last one), or, with
   * `other`, what makes the steps of that build others than those of the first. Asks no daemon.
   *
   * Rejects with `ERR_KILN_BUILD_NOT_FOUND` and, for the beginning of several refs, `ERR_KILN_INVALID_ARGUMENT`.
   */
  async explain(builds: ExplainedRefs = {}): Promise<Explanation> {
    checkOptions("explain", builds, ["build", "other"]);
    const { explainRecorded } = await import("./explain-recorded.js");
    return explainRecorded(this.#env, builds);
  }

  /**
   * Runs a command over an image in an OCI layout, on the daemon: what was just built, tried out.
   *
   * The command runs with the image's environment, working directory and user; what it changes is thrown
   * away. An exit code other than 0 is a result, not an error.
   */
  run(layout: { readonly dir: string; readonly ref?: string | undefined }, options: RunOptions = {}): Run {
    checkOptions("run", options, ["args", "entrypoint", "env", "workdir", "signal"]);
    const hub = new EventHub<BuildEvent>({ retention: eventRetention, dropped: logsDropped });
    const result = (async () => {
      const { runLayout } = await import("./run-layout.js");
      return runLayout(await this.client(), layout, options, (event) => hub.push(event));
    })().finally(() => hub.end());
    result.catch(() => {});
    return { result, [Symbol.asyncIterator]: () => hub[Symbol.asyncIterator]() };
  }

  /** Ends the connection and with it every build that still runs. */
  async close(): Promise<void> {
    this.#registries.close();
    this.#closed.abort(
      new KilnError("ERR_KILN_CONNECTION_LOST", "the engine was closed while it was building", {
        hint: "Close it once its builds have ended.",
      }),
    );
    const client = await this.#client?.catch(() => undefined);
    await client?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #settings(): EngineSettings {
    const { secretProviders = [], mirrors = {}, caBundle, builderVersion: version } = this.#options;
    const env = this.#env;
    const images = imagePlace(this.#options.imageStore, env);
    const cacheDir = cacheDirectory(env, env["HOME"] ?? homedir());
    return {
      ...{ env, secretProviders, mirrors, caBundle, builderVersion: version, images, cacheDir },
      registries: this.#registries,
      tls: this.#tls,
    };
  }

  get #tls(): TlsOptions | undefined {
    return this.#options.tls ?? this.#candidate.tls;
  }

  async #open(): Promise<Client> {
    const { Client: ClientClass } = await import("../solver/client.js");
    return ClientClass.connect(this.address, {
      tls: this.#tls,
      env: this.#env,
      credentials: this.#options.credentials,
      clientTokens: this.#options.clientTokens,
      registryTls: this.#options.registryTls,
    });
  }
}

function checkBuild(call: string, image: Image, options: BuildOptions): void {
  if (!Image.isImage(image)) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${call}: needs an Image`, {
      hint: "Start one with Image.fromRegistry(…).",
      location: captureCallSite(),
    });
  }
  checkSolveSettings(call, options, { more: buildOptionKeys, without: chainSettings });
  if (options.builderVersion !== undefined) builderVersion(options.builderVersion);
  for (const key of ["forceBuild", "ignoreCache"] as const) checkFlag(call, key, options[key], false);
  if (options.caBundle !== undefined) checkCaBundle(call, options.caBundle);
  if (options.name !== undefined) checkText(call, "name", options.name);
  if (options.publish !== undefined) parseImageName(options.publish, { location: captureCallSite() });
}
