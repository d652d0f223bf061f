import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  status as grpcStatus,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { Content } from "../gen/containerd/services/content/v1/content_pb.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import {
  BuildHistoryEventType,
  type BuildHistoryRecordSchema,
  Control,
  SolveRequestSchema,
  type StatusResponse,
  StatusResponseSchema,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { LLBBridge, type Result } from "../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { BuildkitVersionSchema, WorkerRecordSchema } from "../gen/moby/buildkit/v1/types/worker_pb.js";
import { createDeferred, type Deferred } from "../internal/deferred.js";
import { capability } from "../llb/capabilities.js";
import { FakeBuild } from "./fake-build.js";
import { FakeRefusal } from "./fake-refusal.js";
import { FakeSession } from "./fake-session.js";
import { addRawService, pipeOf, type RawMethod } from "./grpc-service.js";

/** A request that the fake daemon got. */
export interface RecordedRequest {
  /** `Service/Method` without the package, e.g. `Control/Solve`. */
  readonly method: string;
  readonly message: Message;
  /** The call's metadata, by key. */
  readonly metadata: Readonly<Record<string, readonly string[]>>;
}

type UnaryKeys<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends { methodKind: "unary" } ? K : never;
}[keyof S["method"]];

/** Answers to unary methods of a service, by method; others are answered UNIMPLEMENTED. */
export type FakeAnswers<S extends DescService> = {
  readonly [K in UnaryKeys<S>]?: S["method"][K] extends {
    input: infer I extends DescMessage;
    output: infer O extends DescMessage;
  }
    ? (
        request: MessageShape<I>,
        build: FakeBuild | undefined,
      ) => MessageInitShape<O> | Promise<MessageInitShape<O>>
    : never;
};

/** What a {@link FakeBuildKit} is like. */
export interface FakeBuildKitOptions {
  /** What it says of its version. Default `v0.32.0`; a daemon that does not tell says `v0.0.0+unknown`. */
  readonly version?: string | undefined;
  /** Ids of its LLB capabilities. Default all that Kiln knows. */
  readonly llbCaps?: readonly string[] | undefined;
  /** Ids of its gateway capabilities. Default all that Kiln asks about. */
  readonly frontendCaps?: readonly string[] | undefined;
  /** Default one worker for `linux/amd64`. */
  readonly workers?: readonly MessageInitShape<typeof WorkerRecordSchema>[] | undefined;
  /**
   * Does what a build is to do and answers with the exporters' response. Throw a {@link FakeRefusal} to fail it. Default:
   * succeeds at once; a gateway build when its client has returned. Builds that only ask for capabilities do not get here.
   */
  readonly solve?: ((build: FakeBuild) => FakeAnswer | Promise<FakeAnswer>) | undefined;
  /** Answers to gateway calls within a build. `ping` and `return` have their own. */
  readonly gateway?: FakeAnswers<typeof LLBBridge> | undefined;
  /** Answers to further unary calls of the control service. */
  readonly control?: FakeAnswers<typeof Control> | undefined;
  /** The builds in its history when asked; a record without `CompletedAt` still runs. Default none. */
  readonly history?: (() => readonly FakeHistoryBuild[]) | undefined;
  /** Blobs of its content store, by digest. Default none. */
  readonly content?: ((digest: string) => FakeBlob | undefined) | undefined;
  /** Milliseconds between health checks of a session. Default 5,000, as BuildKit's. */
  readonly healthCheckMs?: number | undefined;
}

/** A build in the history of a {@link FakeBuildKit}. */
export interface FakeHistoryBuild {
  readonly record: MessageInitShape<typeof BuildHistoryRecordSchema>;
  /** Default whether the record has no `CompletedAt`; for a short while a build has it and still runs. */
  readonly running?: boolean | undefined;
  /** What following it gives. Default nothing. */
  readonly status?: readonly MessageInitShape<typeof StatusResponseSchema>[] | undefined;
}

/** A blob as a {@link FakeBuildKit} sends it, which may be wrong: its pieces, where each says it begins, and its size. */
export interface FakeBlob {
  readonly pieces: readonly { readonly offset?: number | undefined; readonly data: Uint8Array }[];
  /** What it says the size is. Default the bytes of the pieces. */
  readonly size?: number | undefined;
  /** Never ends the transfer. Default false. */
  readonly stalls?: boolean | undefined;
}

/** The exporters' response of a build, e.g. `{ "containerimage.digest": … }`. */
export type FakeAnswer = Readonly<Record<string, string>> | undefined;

const defaultFrontendCaps: readonly string[] = [
  ...["readdir", "statfile", "frontend.inputs", "gateway.solve.metadata", "gateway.exec"],
  ...["gateway.exec.extrahosts", "gateway.exec.secretenv", "gateway.exec.signals"],
  ...["gateway.exec.filesystem", "gateway.solve.evaluate", "gateway.evaluate", "gateway.warnings"],
  ...["reference.attestations", "reference.output", "source.metaresolver"],
  ...["source.metaresolver.image.attestations", "source.metaresolver.http.checksumrequest"],
];

interface RunningBuild {
  readonly build: FakeBuild;
  readonly returned: Deferred<Result | undefined>;
}

/**
 * A BuildKit that builds nothing, for tests: a gRPC server in this process that takes a client's requests and session as
 * the real one does, records them, and answers as it is told.
 *
 * It has no cache, no worker and no registry: it shows what a client sends and how it takes an answer, not whether a
 * build works.
 */
export class FakeBuildKit implements AsyncDisposable {
  /** All requests so far, in the order in which they came. */
  readonly requests: RecordedRequest[] = [];
  readonly #options: FakeBuildKitOptions;
  readonly #server = new Server({
    "grpc.max_receive_message_length": 16 * 1024 * 1024,
    "grpc.max_send_message_length": 16 * 1024 * 1024,
  });
  readonly #sessions = new Map<string, Deferred<FakeSession>>();
  readonly #builds = new Map<string, RunningBuild>();
  readonly #statuses = new Map<string, StatusFeed>();
  readonly #dir: string;

  private constructor(options: FakeBuildKitOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
    addRawService(this.#server, Control.typeName, this.#controlMethods());
    if (options.content !== undefined) {
      addRawService(this.#server, Content.typeName, this.#contentMethods(options.content));
    }
    addRawService(this.#server, LLBBridge.typeName, this.#bridgeMethods());
  }

  /** Starts one on a socket of its own. */
  static async start(options: FakeBuildKitOptions = {}): Promise<FakeBuildKit> {
    const fake = new FakeBuildKit(options, await mkdtemp(join(tmpdir(), "kiln-fake-buildkit-")));
    await new Promise<void>((resolve, reject) => {
      fake.#server.bindAsync(fake.address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return fake;
  }

  /** Where it listens: `unix://…`. */
  get address(): string {
    return `unix://${join(this.#dir, "buildkitd.sock")}`;
  }

  /** The recorded requests of one method, e.g. `Control/Solve`, as messages of its schema. */
  requestsOf<T extends DescMessage>(method: string, _schema: T): readonly MessageShape<T>[] {
    return this.requests
      .filter((request) => request.method === method)
      .map(({ message }) => message as MessageShape<T>);
  }

  /** The builds that were asked for, those that only ask for capabilities left out. */
  solves(): readonly MessageShape<typeof SolveRequestSchema>[] {
    return this.requestsOf("Control/Solve", SolveRequestSchema).filter(({ Internal }) => !Internal);
  }

  /** A client's session, when it is there. Rejects after five seconds, as long as BuildKit waits. */
  session(id: string): Promise<FakeSession> {
    const patience = new Promise<never>((_resolve, reject) => {
      const why = new FakeRefusal(
        grpcStatus.NOT_FOUND,
        `no active session for ${id}: context deadline exceeded`,
      );
      setTimeout(() => reject(why), 5_000).unref();
    });
    return Promise.race([this.#slot(id).promise, patience]);
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#server.forceShutdown();
    for (const slot of this.#sessions.values()) {
      slot.promise.then((session) => session.close()).catch(() => {});
    }
    await rm(this.#dir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #slot(id: string): Deferred<FakeSession> {
    let slot = this.#sessions.get(id);
    if (slot === undefined) {
      slot = createDeferred<FakeSession>();
      slot.promise.catch(() => {});
      this.#sessions.set(id, slot);
    }
    return slot;
  }

  #feed(ref: string): StatusFeed {
    let feed = this.#statuses.get(ref);
    if (feed === undefined) {
      feed = new StatusFeed();
      this.#statuses.set(ref, feed);
    }
    return feed;
  }

  #controlMethods(): readonly RawMethod[] {
    const version = this.#options.version ?? "v0.32.0";
    const buildkitVersion = create(BuildkitVersionSchema, { package: "github.com/moby/buildkit", version });
    const workers = this.#options.workers ?? [
      {
        ID: "fake",
        Labels: { "org.mobyproject.buildkit.worker.snapshotter": "overlayfs" },
        platforms: [{ OS: "linux", Architecture: "amd64" }],
      },
    ];
    return [
      this.#unary(Control.method.info, () => ({ buildkitVersion })),
      this.#unary(Control.method.listWorkers, () => ({
        record: workers.map((worker) => {
          const record = create(WorkerRecordSchema, worker);
          record.BuildkitVersion ??= buildkitVersion;
          return record;
        }),
      })),
      this.#unary(Control.method.solve, async (request, call) => ({
        ExporterResponse: { ...(await this.#solve(request, call)) },
      })),
      ...this.#answers(Control, this.#options.control, ["info", "listWorkers", "solve"]),
      {
        name: Control.method.status.name,
        clientStream: false,
        serverStream: true,
        handler: (call: ServerWritableStream<Buffer, Buffer>) => {
          const method = Control.method.status;
          const request = fromBinary(method.input, call.request);
          this.#record(method, request, call.metadata);
          const write = (message: StatusResponse): void => {
            call.write(Buffer.from(toBinary(method.output, message)));
          };
          const past = this.#history().find(({ record }) => record.Ref === request.Ref);
          if (past === undefined) this.#feed(request.Ref).follow(write, () => call.end());
          else {
            for (const status of past.status ?? []) write(create(StatusResponseSchema, status));
            call.end();
          }
        },
      },
      {
        name: Control.method.listenBuildHistory.name,
        clientStream: false,
        serverStream: true,
        handler: (call: ServerWritableStream<Buffer, Buffer>) => {
          const method = Control.method.listenBuildHistory;
          this.#record(method, fromBinary(method.input, call.request), call.metadata);
          for (const { record, running = record.CompletedAt === undefined } of this.#history()) {
            const type = running ? BuildHistoryEventType.STARTED : BuildHistoryEventType.COMPLETE;
            call.write(Buffer.from(toBinary(method.output, create(method.output, { type, record }))));
          }
          call.end();
        },
      },
      {
        name: Control.method.session.name,
        clientStream: true,
        serverStream: true,
        handler: (call: ServerDuplexStream<Buffer, Buffer>) => {
          const metadata = metadataOf(call.metadata);
          const first = (key: string): string => metadata[`x-docker-expose-session-${key}`]?.[0] ?? "";
          const announcement = {
            id: first("uuid"),
            sharedKey: first("sharedkey"),
            methods: metadata["x-docker-expose-session-grpc-method"] ?? [],
            metadata,
          };
          const { resolve, reject } = this.#slot(announcement.id);
          const checkMs = this.#options.healthCheckMs ?? 5_000;
          FakeSession.over(pipeOf(call), announcement, checkMs).then(resolve, reject);
        },
      },
    ];
  }

  #history(): readonly FakeHistoryBuild[] {
    return this.#options.history?.() ?? [];
  }

  #contentMethods(find: (digest: string) => FakeBlob | undefined): readonly RawMethod[] {
    const { info, read } = Content.method;
    const blobOf = (digest: string): FakeBlob => {
      const blob = find(digest);
      if (blob === undefined) throw new FakeRefusal(grpcStatus.NOT_FOUND, `content ${digest}: not found`);
      return blob;
    };
    return [
      this.#unary(info, ({ digest }) => {
        const { pieces, size = pieces.reduce((sum, { data }) => sum + data.length, 0) } = blobOf(digest);
        return { info: { digest, size: BigInt(size) } };
      }),
      {
        name: read.name,
        clientStream: false,
        serverStream: true,
        handler: (call: ServerWritableStream<Buffer, Buffer>) => {
          const request = fromBinary(read.input, call.request);
          this.#record(read, request, call.metadata);
          try {
            const { pieces, stalls } = blobOf(request.digest);
            let next = 0;
            for (const { data, offset = next } of pieces) {
              next += data.length;
              const message = create(read.output, { data, offset: BigInt(offset) });
              call.write(Buffer.from(toBinary(read.output, message)));
            }
            if (stalls !== true) call.end();
          } catch (error) {
            call.emit("error", refusalStatus(error));
          }
        },
      },
    ];
  }

  #bridgeMethods(): readonly RawMethod[] {
    const { llbCaps = Object.values(capability), frontendCaps = defaultFrontendCaps } = this.#options;
    const caps = (ids: readonly string[]) => ids.map((ID) => ({ ID, Enabled: true }));
    return [
      this.#unary(LLBBridge.method.ping, () => ({
        LLBCaps: caps(llbCaps),
        FrontendAPICaps: caps(frontendCaps),
      })),
      this.#unary(LLBBridge.method.return, async (request, call) => {
        const running = await this.#running(buildIdOf(call));
        if (request.error === undefined) running.returned.resolve(request.result);
        else {
          running.returned.reject(
            new FakeRefusal(
              request.error.code,
              request.error.message,
              request.error.details.map(({ typeUrl, value }) => ({
                type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
                value: JSON.parse(new TextDecoder().decode(value)) as unknown,
              })),
            ),
          );
        }
        return {};
      }),
      ...this.#answers(LLBBridge, this.#options.gateway, ["ping", "return"]),
    ];
  }

  #answers<S extends DescService>(
    service: S,
    answers: FakeAnswers<S> = {},
    own: readonly string[],
  ): readonly RawMethod[] {
    return service.methods.flatMap((method) => {
      const answer = (answers as Readonly<Record<string, unknown>>)[method.localName];
      if (typeof answer !== "function" || own.includes(method.localName)) return [];
      return [
        this.#unary(method as UnaryMethod, async (request, call) => {
          const id = call.metadata.get(buildIdKey)[0];
          const build = id === undefined ? undefined : (await this.#running(String(id))).build;
          return answer(request, build) as Promise<MessageInitShape<DescMessage>>;
        }),
      ];
    });
  }

  #unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    answer: (
      request: MessageShape<I>,
      call: ServerUnaryCall<Buffer, Buffer>,
    ) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  ): RawMethod {
    return {
      name: method.name,
      clientStream: false,
      serverStream: false,
      handler: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
        const request = fromBinary(method.input, call.request);
        this.#record(method, request, call.metadata);
        Promise.resolve()
          .then(() => answer(request, call))
          .then(
            (response) =>
              callback(null, Buffer.from(toBinary(method.output, create(method.output, response)))),
            (error: unknown) => callback(refusalStatus(error)),
          );
      },
    };
  }

  async #running(ref: string): Promise<RunningBuild> {
    // A gateway client may be faster than its own Solve.
    for (let tries = 0; tries < 300; tries += 1) {
      const running = this.#builds.get(ref);
      if (running !== undefined) return running;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new FakeRefusal(grpcStatus.NOT_FOUND, `no such job ${ref}`);
  }

  async #solve(
    request: MessageShape<typeof SolveRequestSchema>,
    call: ServerUnaryCall<Buffer, Buffer>,
  ): Promise<FakeAnswer> {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort(new Error("the client gave up")));
    const returned = createDeferred<Result | undefined>();
    returned.promise.catch(() => {});
    const feed = this.#feed(request.Ref);
    const build = new FakeBuild({
      request,
      session: request.Session === "" ? undefined : await this.session(request.Session),
      signal: gone.signal,
      returned: returned.promise,
      emit: (message) => feed.push(message),
    });
    this.#builds.set(request.Ref, { build, returned });
    const { solve } = this.#options;
    try {
      if (solve !== undefined && !request.Internal) return await solve(build);
      if (build.isGateway) await returned.promise;
      return {};
    } finally {
      this.#builds.delete(request.Ref);
      feed.end();
    }
  }

  #record(method: DescMethod, message: Message, metadata: Metadata): void {
    this.requests.push({
      method: `${method.parent.name}/${method.name}`,
      message,
      metadata: metadataOf(metadata),
    });
  }
}

type UnaryMethod = DescMethod & { readonly input: DescMessage; readonly output: DescMessage };

const buildIdKey = "buildkit-controlapi-buildid";

function buildIdOf(call: ServerUnaryCall<Buffer, Buffer>): string {
  const id = call.metadata.get(buildIdKey)[0];
  if (id === undefined) throw new FakeRefusal(grpcStatus.UNKNOWN, "no buildid found in context");
  return String(id);
}

function metadataOf(metadata: Metadata): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.keys(metadata.getMap()).map((key) => [key, metadata.get(key).map(String)]),
  );
}

function refusalStatus(error: unknown): {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
} {
  const code = error instanceof FakeRefusal ? error.status : grpcStatus.UNKNOWN;
  const message = error instanceof Error ? error.message : String(error);
  const metadata = new Metadata();
  if (error instanceof FakeRefusal && error.details.length > 0) {
    const details = error.anys().map((any) => ({ ...any }));
    const trailer = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
    metadata.set("grpc-status-details-bin", Buffer.from(trailer));
  }
  return { code, details: message, metadata };
}

/** The progress of one build: kept for whoever asks for it late. */
class StatusFeed {
  readonly #messages: StatusResponse[] = [];
  readonly #followers: { readonly write: (message: StatusResponse) => void; readonly end: () => void }[] = [];
  #ended = false;

  push(message: StatusResponse): void {
    this.#messages.push(message);
    for (const { write } of this.#followers) write(message);
  }

  end(): void {
    this.#ended = true;
    for (const { end } of this.#followers) end();
  }

  follow(write: (message: StatusResponse) => void, end: () => void): void {
    for (const message of this.#messages) write(message);
    if (this.#ended) end();
    else this.#followers.push({ write, end });
  }
}
