import { create } from "@bufbuild/protobuf";
import { Control, SolveRequestSchema } from "../../gen/moby/buildkit/v1/control_pb.js";
import { randomId } from "../../internal/random-id.js";
import type { Connection } from "../../rpc/connection.js";
import { createClient } from "../../rpc/typed-client.js";
import type { Session } from "../../session/session.js";
import type { SolveSettings } from "../solve-settings.js";
import { sourcePolicyToPb } from "../supply-chain/source-policy.js";
import { createBridge } from "./bridge.js";
import { driveBuild } from "./drive-build.js";
import { Gateway } from "./gateway.js";

/** Options of {@link withGateway}. */
export interface GatewayOptions {
  /** The session that answers for credentials and content; without one only public things resolve. */
  readonly session?: Session | undefined;
  /** Rules that what is resolved must keep to; `verifySource` is asked through the session. */
  readonly policy?: Pick<SolveSettings, "sourcePolicy" | "verifySource"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `use` inside a gateway build of its own that exports nothing, shows no progress and stays out of the build
 * history.
 *
 * The daemon opens such a build for a Solve with neither definition nor frontend. Rejects with what `use` threw, or
 * with the daemon's refusal; aborting `signal` ends the build on the daemon.
 */
export async function withGateway<T>(
  connection: Connection,
  use: (gateway: Gateway) => Promise<T>,
  options: GatewayOptions = {},
): Promise<T> {
  const { session, signal } = options;
  const { sourcePolicy, verifySource } = options.policy ?? {};
  signal?.throwIfAborted();
  const ref = randomId();
  const stop = new AbortController();
  const bound = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const solving = createClient(Control, connection).solve(
    create(SolveRequestSchema, {
      Ref: ref,
      Session: session?.id ?? "",
      Internal: true,
      ...(sourcePolicy === undefined ? {} : { SourcePolicy: sourcePolicyToPb(sourcePolicy) }),
      SourcePolicySession: verifySource === undefined ? "" : (session?.id ?? ""),
    }),
    { signal: bound },
  );
  const bridge = createBridge(connection, { ref, signal: bound, translate: (error) => error });
  let value: { readonly of: T } | undefined;
  try {
    await driveBuild(solving, {
      bridge,
      signal: bound,
      use: async () => {
        value = { of: await use(new Gateway(bridge, undefined)) };
        return undefined;
      },
    });
    return (value as unknown as { readonly of: T }).of;
  } finally {
    stop.abort(new Error("the gateway build has ended"));
  }
}
