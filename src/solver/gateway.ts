import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Control, SolveRequestSchema } from "../gen/moby/buildkit/v1/control_pb.js";
import { LLBBridge, type PongResponse } from "../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { randomId } from "../internal/random-id.js";
import type { Platform } from "../oci/platform.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import type { Session } from "../session/session.js";
import { platformToPb } from "./platform-pb.js";

/** How long the outer solve gets to end by itself after its build function failed. */
const failedBuildGraceMs = 5_000;

/** Options of {@link withGateway}. */
export interface GatewayOptions {
  /** The session that answers for credentials and content; without one only public things resolve. */
  readonly session?: Session | undefined;
  readonly signal?: AbortSignal | undefined;
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

/** What a build function may ask of the daemon while its build is open. */
export interface Gateway {
  /** The daemon's capabilities and workers. */
  ping(): Promise<PongResponse>;
  /** Resolves a registry reference to digest and config for one platform. */
  resolveImageConfig(
    ref: string,
    options: {
      readonly platform: Platform;
      /** `default` takes what the daemon has, `pull` asks the registry, `local` never does. */
      readonly resolveMode?: "default" | "pull" | "local" | undefined;
    },
  ): Promise<ResolvedImage>;
}

/**
 * Runs `use` inside a gateway build of its own that exports nothing and stays out of the build history.
 *
 * The daemon opens such a build for a Solve with neither definition nor frontend and ends it on Return, which
 * is sent exactly once, also when `use` throws. Rejects with what `use` threw, or with the daemon's refusal;
 * aborting `signal` ends the build on the daemon.
 */
export async function withGateway<T>(
  connection: Connection,
  use: (gateway: Gateway) => Promise<T>,
  options: GatewayOptions = {},
): Promise<T> {
  const { session, signal } = options;
  signal?.throwIfAborted();
  const ref = randomId();
  const stop = new AbortController();
  const bound = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const solve = createClient(Control, connection).solve(
    create(SolveRequestSchema, { Ref: ref, Session: session?.id ?? "", Internal: true }),
    { signal: bound },
  );
  // The outer solve rejects whenever the inner call fails; only one of the two is the answer.
  const solveFailed = solve.then(
    () => new Promise<never>(() => {}),
    (error: unknown) => Promise.reject(error),
  );
  solveFailed.catch(() => {});
  const bridge = createClient(LLBBridge, connection);
  const call = { signal: bound, metadata: { "buildkit-controlapi-buildid": ref } };
  const gateway: Gateway = {
    ping: () => bridge.ping({}, call),
    async resolveImageConfig(image, { platform, resolveMode }) {
      const response = await bridge.resolveImageConfig(
        {
          Ref: image,
          Platform: platformToPb(platform),
          ResolveMode: resolveMode ?? "default",
          LogName: `resolve ${image}`,
        },
        call,
      );
      return {
        ref: response.Ref === "" ? image : response.Ref,
        digest: response.Digest,
        config: response.Config,
      };
    },
  };
  try {
    const value = await Promise.race([use(gateway), solveFailed]);
    await bridge.return({ result: {} }, call);
    await solve;
    return value;
  } catch (error) {
    if (!bound.aborted) {
      await bridge
        .return({ error: { code: 2, message: "the client's build function failed" } }, call)
        .catch(() => {});
      const timeout = new AbortController();
      await Promise.race([
        solve.catch(() => {}),
        delay(failedBuildGraceMs, undefined, { signal: timeout.signal }).catch(() => {}),
      ]);
      timeout.abort();
    }
    throw error;
  } finally {
    stop.abort(new Error("the gateway build has ended"));
  }
}
