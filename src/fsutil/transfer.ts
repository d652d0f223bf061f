import { KilnError } from "../errors.js";
import { createDeferred } from "../internal/deferred.js";
import { decodePacket, encodeError, type Packet } from "./packet.js";
import type { PacketChannel } from "./packet-channel.js";

/** How far a transfer is: totals since its start. */
export interface TransferProgress {
  /** Paths listed. */
  readonly entries: number;
  /** Files whose content went over whole. */
  readonly files: number;
  /** Bytes of content. */
  readonly bytes: number;
}

/**
 * The life of one transfer, either side: tasks that run at the same time, the first failure of which stops
 * the others, and the packets that come and go meanwhile.
 */
export class Transfer {
  readonly #channel: PacketChannel;
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #outer: AbortSignal | undefined;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<(reason: unknown) => void>();
  readonly #allDone = createDeferred<void>();
  #running = 0;
  #failure: { readonly reason: unknown } | undefined;
  #otherSideGone = false;

  constructor(channel: PacketChannel, signal: AbortSignal | undefined) {
    this.#channel = channel;
    this.#outer = signal;
    this.#iterator = channel.incoming[Symbol.asyncIterator]();
  }

  /** Aborted with the first failure; for what tasks call. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * Runs tasks, and those they start, until all have ended. On the first failure the others are stopped, the
   * other side is told, and the failure is thrown once nothing runs any more.
   */
  async run(tasks: readonly (() => Promise<void>)[]): Promise<void> {
    const outer = this.#outer;
    const abort = (): void => this.#fail(outer?.reason);
    outer?.addEventListener("abort", abort, { once: true });
    try {
      if (outer?.aborted === true) abort();
      else for (const task of tasks) this.start(task);
      if (this.#running > 0) await this.#allDone.promise;
    } finally {
      outer?.removeEventListener("abort", abort);
      this.#release();
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /** Adds a task to the running ones. */
  start(task: () => Promise<void>): void {
    this.#running += 1;
    void this.#supervise(task);
  }

  async #supervise(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#allDone.resolve();
    }
  }

  #fail(reason: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { reason };
    this.#stop.abort(reason);
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }

  #release(): void {
    if (this.#failure !== undefined && !this.#otherSideGone) {
      void attempt(() => this.#channel.write(encodeError(textFor(this.#failure?.reason))));
    }
    void attempt(() => this.#iterator.return?.());
  }

  /**
   * The next packet. Throws `ERR_KILN_PROTOCOL` when it cannot be decoded, `ERR_KILN_RPC` when the other side
   * gives up, `ERR_KILN_TRUNCATED` when the stream ends.
   */
  async next(): Promise<Packet> {
    this.signal.throwIfAborted();
    const result = await this.#orStopped(this.#iterator.next());
    if (result.done === true) {
      this.#otherSideGone = true;
      throw new KilnError("ERR_KILN_TRUNCATED", "the stream of files ended before the transfer was complete");
    }
    const packet = decodePacket(result.value);
    if (packet.kind !== "error") return packet;
    this.#otherSideGone = true;
    throw new KilnError("ERR_KILN_RPC", `the other side gave up the transfer of files: ${packet.message}`);
  }

  /** Writes an encoded packet, whole or in parts; a promise when the transport asks to wait. Throws when the transfer has failed. */
  write(...parts: readonly Uint8Array[]): Promise<void> | undefined {
    this.signal.throwIfAborted();
    const full = this.#channel.write(...parts);
    return full === undefined ? undefined : this.#orStopped(full);
  }

  /** The same outcome as `promise`, or a rejection as soon as the transfer fails. Leaves nothing behind. */
  #orStopped<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      const settle = (): void => {
        this.#waiting.delete(reject);
      };
      promise.then(resolve, reject).finally(settle);
    });
  }
}

/** What the other side is told. Only our own errors are known to hold nothing secret. */
function textFor(reason: unknown): string {
  return reason instanceof KilnError ? reason.message : "the transfer was cancelled";
}

async function attempt(action: () => unknown): Promise<void> {
  try {
    await action();
  } catch {
    // The transfer is over; nobody is left to hear of it.
  }
}
