import { untilAborted } from "./until-aborted.js";

interface Work<T> {
  readonly result: Promise<T>;
  readonly stop: AbortController;
  /** Callers that wait for it. */
  waiting: number;
}

/** Lets callers share work: who asks for what is under way already waits for that. */
export class SharedWork<T> {
  readonly #running = new Map<string, Work<T>>();

  /**
   * Joins the work of this name that is under way, or begins it.
   *
   * A caller's signal ends its own waiting; the work is aborted when nobody waits for it any more, and
   * its end awaited by the last one. Work that fails does so for
   * whoever began it: who had joined begins again, with what is its own.
   */
  async join(
    name: string,
    begin: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      const running = this.#running.get(name);
      if (running === undefined) return await this.#wait(name, this.#start(name, begin), signal);
      try {
        return await this.#wait(name, running, signal);
      } catch {
        // Another one's failure, or this one's signal.
      }
    }
  }

  #start(name: string, begin: (signal: AbortSignal) => Promise<T>): Work<T> {
    const stop = new AbortController();
    const work: Work<T> = {
      result: begin(stop.signal).finally(() => this.#forget(name, work)),
      stop,
      waiting: 0,
    };
    this.#running.set(name, work);
    return work;
  }

  async #wait(name: string, work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
    work.waiting += 1;
    try {
      return await untilAborted(work.result, signal);
    } finally {
      work.waiting -= 1;
      if (work.waiting === 0) {
        // Whoever comes now must not join what is given up.
        this.#forget(name, work);
        work.stop.abort(signal?.reason);
        // What it clears away is gone then.
        await work.result.catch(() => {});
      }
    }
  }

  #forget(name: string, work: Work<T>): void {
    if (this.#running.get(name) === work) this.#running.delete(name);
  }
}
