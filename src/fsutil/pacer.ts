import { setImmediate as nextTurn } from "node:timers/promises";

const SLICE_MS = 5;
const CALLS_PER_LOOK = 16;

/**
 * Divides synchronous work into slices of about five milliseconds, so that whatever else lives on the event
 * loop (the session's health check above all) is answered in between.
 */
export class Pacer {
  #calls = 0;
  #deadline = performance.now() + SLICE_MS;

  /** Whether the slice is used up. Cheap enough to ask after every file: the clock is read at each 16th call. */
  due(): boolean {
    this.#calls += 1;
    return this.#calls % CALLS_PER_LOOK === 0 && performance.now() >= this.#deadline;
  }

  /** Lets the event loop turn once and begins a new slice. */
  async rest(): Promise<void> {
    await nextTurn();
    this.begin();
  }

  /** Begins a new slice; for callers that have just come back from waiting for something else. */
  begin(): void {
    this.#deadline = performance.now() + SLICE_MS;
  }

  /**
   * Runs work that pauses often to its end, in slices; the slice goes on with the next work, however short each is. Rejects
   * with what it throws, or after a slice with the signal's reason.
   */
  async drive<T>(work: Generator<void, T, void>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      const step = work.next();
      if (this.due()) {
        await this.rest();
        signal?.throwIfAborted();
      }
      if (step.done === true) return step.value;
    }
  }
}
