/** A walk that has not begun, or runs. */
interface Walk<T> {
  readonly result: Promise<T>;
  readonly stop: AbortController;
  /** Callers that still wait for it. */
  waiting: number;
  begun: boolean;
}

/**
 * Lets callers share walks of the same thing. A walk that has begun may have passed a place before the change that a new
 * caller made there, so only one that has not begun can be joined: one runs, and all who ask meanwhile share the next.
 */
export class SharedWalks<T> {
  readonly #last = new Map<string, Walk<T>>();

  /**
   * Joins the walk of this name that has not begun, or starts one after the one that runs.
   *
   * A caller's signal ends its own waiting; the walk ends when nobody waits for it.
   */
  async join(
    name: string,
    begin: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const last = this.#last.get(name);
    const walk = last === undefined || last.begun ? this.#start(name, begin, last) : last;
    walk.waiting += 1;
    let abort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
    });
    try {
      return await Promise.race([walk.result, aborted]);
    } finally {
      if (abort !== undefined) signal?.removeEventListener("abort", abort);
      walk.waiting -= 1;
      if (walk.waiting === 0) {
        walk.stop.abort(signal?.reason);
        // Whoever comes now must not join what was given up.
        if (this.#last.get(name) === walk && !walk.begun) walk.begun = true;
      }
    }
  }

  #start(name: string, begin: (signal: AbortSignal) => Promise<T>, previous: Walk<T> | undefined): Walk<T> {
    const stop = new AbortController();
    const run = async (): Promise<T> => {
      await previous?.result.catch(() => {});
      walk.begun = true;
      stop.signal.throwIfAborted();
      return await begin(stop.signal);
    };
    const walk: Walk<T> = {
      result: run().finally(() => {
        if (this.#last.get(name) === walk) this.#last.delete(name);
      }),
      stop,
      waiting: 0,
      begun: false,
    };
    walk.result.catch(() => {});
    this.#last.set(name, walk);
    return walk;
  }
}
