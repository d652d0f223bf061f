import { untilAborted } from "../../internal/until-aborted.js";

/** A value and until when it may be used. */
export interface Expiring<T> {
  readonly value: T;
  /** Milliseconds since 1970; `undefined` = not to be kept. */
  readonly expiresAt: number | undefined;
}

const mostKept = 100;

/**
 * Keeps values in memory until they expire, and makes each once for all who ask at the same time. A failure is not kept.
 */
export class ExpiringCache<T> {
  readonly #now: () => number;
  readonly #made = new Map<string, Expiring<T>>();
  readonly #making = new Map<string, Promise<Expiring<T>>>();

  /** `now`: milliseconds since 1970; default the clock. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The value of a key, made if there is none that is still good. Whoever aborts only stops waiting. */
  async get(
    key: string,
    make: () => Promise<Expiring<T>>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const known = this.#made.get(key);
    if (known?.expiresAt !== undefined && known.expiresAt > this.#now()) return known.value;
    this.#made.delete(key);
    let making = this.#making.get(key);
    if (making === undefined) {
      making = make().finally(() => this.#making.delete(key));
      this.#making.set(key, making);
      making.then(
        (made) => this.#keep(key, made),
        () => {},
      );
    }
    return (await untilAborted(making, options.signal)).value;
  }

  #keep(key: string, made: Expiring<T>): void {
    if (made.expiresAt === undefined) return;
    const [oldest] = this.#made.keys();
    if (this.#made.size >= mostKept && oldest !== undefined) this.#made.delete(oldest);
    this.#made.set(key, made);
  }
}
