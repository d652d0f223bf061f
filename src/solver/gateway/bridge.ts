import { KilnError } from "../../errors.js";
import { LLBBridge } from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import type { DaemonFacts } from "../../model/daemon.js";
import type { Connection } from "../../rpc/connection.js";
import { createClient, type TypedClient } from "../../rpc/typed-client.js";
import { openStream, type TypedStream } from "../../rpc/typed-stream.js";

/** The metadata key by which the daemon finds the build that a call belongs to. */
const buildIdKey = "buildkit-controlapi-buildid";

type Exec = (typeof LLBBridge)["method"]["execProcess"];

/** The daemon's side of one open gateway build. */
export interface Bridge {
  /**
   * Calls the daemon within the build.
   *
   * Rejects with what `translate` makes of the daemon's error, with the reason of a signal, or with `ERR_KILN_CLOSED`
   * when the build is over.
   */
  readonly call: <T>(
    make: (client: TypedClient<typeof LLBBridge>, options: BridgeCallOptions) => Promise<T>,
    signal?: AbortSignal,
  ) => Promise<T>;
  /** Opens a stream for processes. Throws `ERR_KILN_CLOSED` when the build is over. */
  readonly openExec: (signal?: AbortSignal) => TypedStream<Exec["input"], Exec["output"]>;
  /** Throws `ERR_KILN_UNSUPPORTED` if the daemon is known not to have a capability, which came with `version`. */
  readonly need: (cap: string, version: string) => void;
  /** Refuses calls from now on. */
  readonly close: () => void;
}

/** What each call of a build carries. */
export interface BridgeCallOptions {
  readonly signal: AbortSignal;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Makes the {@link Bridge} of the build `ref`; aborting `signal` ends all its calls. */
export function createBridge(
  connection: Connection,
  options: {
    readonly ref: string;
    readonly signal: AbortSignal;
    readonly translate: (error: unknown) => unknown;
    /** What the daemon can do, where it is known. */
    readonly facts?: DaemonFacts | undefined;
  },
): Bridge {
  const client = createClient(LLBBridge, connection);
  const metadata = { [buildIdKey]: options.ref };
  let closed = false;
  const bound = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? options.signal : AbortSignal.any([options.signal, signal]);
  const checkOpen = (): void => {
    if (!closed) return;
    throw new KilnError(
      "ERR_KILN_CLOSED",
      "the build is over: its gateway and refs cannot be used any more",
      {
        hint: "Read what you need before the build function returns.",
      },
    );
  };
  return {
    async call(make, signal) {
      checkOpen();
      try {
        return await make(client, { signal: bound(signal), metadata });
      } catch (error) {
        throw options.translate(error);
      }
    },
    openExec(signal) {
      checkOpen();
      return openStream(connection, LLBBridge.method.execProcess, { signal: bound(signal), metadata });
    },
    need(cap, version) {
      const { facts } = options;
      if (facts === undefined || facts.frontendCaps.size === 0 || facts.frontendCaps.has(cap)) return;
      const found = facts.buildkitVersion;
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `the daemon at ${facts.address} does not support ${cap} ` +
          `(${found === undefined ? "it does not tell its BuildKit version" : `BuildKit ${found}`}; ` +
          `needs ${version} or newer)`,
        { hint: "Leave out the option that needs it, or build on a newer BuildKit." },
      );
    },
    close() {
      closed = true;
    },
  };
}
