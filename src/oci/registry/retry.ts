import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../../errors.js";
import { failureOf, type Subject, Transient } from "./registry-error.js";

/** How often and how patiently something is tried. */
export interface RetryOptions {
  /** Tries after the first one. */
  readonly retries: number;
  /** Wait before the second try, in milliseconds; doubled for each further one. */
  readonly backoffMs: number;
  readonly signal: AbortSignal | undefined;
}

/** A server that asks for more than this is taken to refuse. */
const longestWaitMs = 60_000;

/**
 * Runs something until it succeeds, while what it fails with may go away by itself: connections that break, 5xx, 429 (after
 * as long as the server asks, a minute at most). Rejects with the last failure, or the signal's reason.
 */
export async function withRetries<T>(
  subject: Subject,
  { retries, backoffMs, signal }: RetryOptions,
  run: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await run(attempt);
    } catch (error) {
      signal?.throwIfAborted();
      const failure = failureOf(error, subject);
      if (!(failure instanceof Transient)) throw failure;
      const waitMs = failure.waitMs ?? backoffMs * 2 ** attempt * (0.75 + Math.random() / 2);
      if (attempt >= retries || waitMs > longestWaitMs) throw finalError(failure, waitMs);
      await pause(waitMs, signal);
    }
  }
}

function finalError({ error }: Transient, waitMs: number): KilnError {
  if (waitMs <= longestWaitMs) return error;
  return new KilnError(error.code, `${error.message}; it asks to wait ${Math.round(waitMs / 1000)} s`, {
    hint: error.hint,
    cause: error,
  });
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
