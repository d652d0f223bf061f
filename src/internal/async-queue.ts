/**
 * An unbounded single-consumer queue that is an async iterable.
 *
 * `push` never blocks; `end` finishes the iteration after what is queued, `fail` throws after it. Leaving
 * the loop early (`break`) closes the queue: later pushes are dropped and `onReturn` is called once.
 */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  #items: T[] = [];
  #head = 0;
  #waiting: ((result: IteratorResult<T> | Promise<IteratorResult<T>>) => void) | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  readonly #onReturn: (() => void) | undefined;

  constructor(onReturn?: () => void) {
    this.#onReturn = onReturn;
  }

  /** How many items are queued and not yet read. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Adds an item; dropped when the queue has ended. */
  push(item: T): void {
    if (this.#ended) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting({ done: false, value: item });
      return;
    }
    this.#items.push(item);
  }

  /** Ends the iteration once all queued items were read. */
  end(): void {
    this.#finish(undefined);
  }

  /** Makes the iteration throw `error` once all queued items were read. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  #finish(failure: { readonly error: unknown } | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(this.#drained());
  }

  #drained(): Promise<IteratorResult<T>> {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure === undefined
      ? Promise.resolve({ done: true, value: undefined })
      : Promise.reject(failure.error);
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#head < this.#items.length) {
      const value = this.#items[this.#head] as T;
      this.#head += 1;
      if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) return this.#drained();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<T>> {
    const first = !this.#ended;
    this.#ended = true;
    this.#failure = undefined;
    this.#items = [];
    this.#head = 0;
    this.#waiting?.({ done: true, value: undefined });
    this.#waiting = undefined;
    if (first) this.#onReturn?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
