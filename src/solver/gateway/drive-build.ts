import { setTimeout as delay } from "node:timers/promises";
import type { Bridge } from "./bridge.js";
import { type GatewayReturn, resultToPb } from "./result.js";

/** How long the outer solve gets to end by itself after its build function failed. */
const failedBuildGraceMs = 5_000;

/** Number of gRPC's status `UNKNOWN`. */
const unknownStatus = 2;

/**
 * Runs a build function in the gateway build that the outer solve `solving` opened, and sends its result exactly
 * once, also when it throws.
 *
 * Resolves with what the outer solve answers once it has exported the result. Rejects with what `use` threw, or with
 * what the outer solve rejected with.
 */
export async function driveBuild<R>(
  solving: Promise<R>,
  build: {
    readonly bridge: Bridge;
    readonly signal: AbortSignal;
    readonly use: () => Promise<GatewayReturn | undefined>;
  },
): Promise<R> {
  const { bridge, signal } = build;
  // The outer solve rejects whenever the build is ended by the daemon; until then only the function counts.
  const solveFailed = solving.then(
    () => new Promise<never>(() => {}),
    (error: unknown) => Promise.reject(error),
  );
  solveFailed.catch(() => {});
  try {
    const returned = await Promise.race([build.use(), solveFailed]);
    const result = resultToPb(returned);
    await bridge.call((client, rpc) => client.return({ result }, rpc));
  } catch (error) {
    if (!signal.aborted) await returnError(bridge, solving, error);
    throw error;
  } finally {
    bridge.close();
  }
  return solving;
}

async function returnError(bridge: Bridge, solving: Promise<unknown>, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : "the build function failed";
  await bridge
    .call((client, rpc) => client.return({ error: { code: unknownStatus, message } }, rpc))
    .catch(() => {});
  const timeout = new AbortController();
  await Promise.race([
    solving.catch(() => {}),
    delay(failedBuildGraceMs, undefined, { signal: timeout.signal }).catch(() => {}),
  ]);
  timeout.abort();
}
