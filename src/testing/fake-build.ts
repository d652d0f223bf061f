import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type SolveRequest,
  type StatusResponse,
  StatusResponseSchema,
} from "../gen/moby/buildkit/v1/control_pb.js";
import type { Result } from "../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import type { FakeSession } from "./fake-session.js";

/** A build that a client asked the fake daemon for. */
export class FakeBuild {
  /** What was asked for. */
  readonly request: SolveRequest;
  /** The session that the request names; `undefined` if it names none. */
  readonly session: FakeSession | undefined;
  /** Aborted when the client gives up. */
  readonly signal: AbortSignal;
  /** What a gateway client returned; settles when it has. Never for a build with a definition. */
  readonly returned: Promise<Result | undefined>;
  readonly #emit: (status: StatusResponse) => void;

  /** For `FakeBuildKit`. */
  constructor(parts: {
    readonly request: SolveRequest;
    readonly session: FakeSession | undefined;
    readonly signal: AbortSignal;
    readonly returned: Promise<Result | undefined>;
    readonly emit: (status: StatusResponse) => void;
  }) {
    this.request = parts.request;
    this.session = parts.session;
    this.signal = parts.signal;
    this.returned = parts.returned;
    this.#emit = parts.emit;
  }

  /** Whether the client drives the build through the gateway. */
  get isGateway(): boolean {
    return this.request.Definition === undefined && this.request.Frontend === "";
  }

  /** Reports progress as it is. */
  status(status: MessageInitShape<typeof StatusResponseSchema>): void {
    this.#emit(create(StatusResponseSchema, status));
  }

  /** Reports a vertex that started at `at` and ended a second later; `error` makes it a failed one. */
  vertex(
    digest: string,
    name: string,
    options: {
      readonly at?: number | undefined;
      readonly cached?: boolean | undefined;
      readonly error?: string | undefined;
      readonly log?: string | undefined;
    } = {},
  ): void {
    const { at = Date.now(), cached = false, error = "", log } = options;
    const started = timestampFromMs(at);
    const base = { digest, name, started };
    this.status({ vertexes: [base] });
    if (log !== undefined) {
      const msg = new TextEncoder().encode(log);
      this.status({ logs: [{ vertex: digest, timestamp: started, stream: 1n, msg }] });
    }
    this.status({ vertexes: [{ ...base, cached, error, completed: timestampFromMs(at + 1_000) }] });
  }
}
