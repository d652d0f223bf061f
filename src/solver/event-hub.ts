/** How a hub keeps an event for iterators that have not read it yet. */
export type Retention =
  /** Kept for as long as the hub lives: every iterator sees it, however late it starts. */
  | { readonly keep: "always" }
  /** Only the newest event with the same key is kept. */
  | { readonly keep: "latest"; readonly key: string }
  /** Kept while fewer than the hub's limit of such bytes follow it. */
  | { readonly keep: "recent"; readonly bytes: number };

interface Node<T> {
  event: T | undefined;
  next: Node<T> | undefined;
  prev: Node<T> | undefined;
  /** Bytes of "recent" events pushed before this one: tells a reader how much it missed. */
  readonly bytesBefore: number;
  readonly bytes: number;
}

/** What a {@link EventHub} is told about its events. */
export interface EventHubOptions<T> {
  readonly retention: (event: T) => Retention;
  /** Makes the event that tells a reader how many bytes of "recent" events it missed. */
  readonly dropped: (bytes: number) => T;
  /** Bytes of "recent" events kept for readers that lag; default 1 MiB. */
  readonly limit?: number | undefined;
}

/**
 * Hands one stream of events to any number of iterators, each at its own pace.
 *
 * An iterator started late sees everything that was kept, in order. The hub never waits for a reader; its
 * memory is bounded by the "always" events plus one event a key plus `limit` bytes. Iterators end with the
 * hub and never throw; leaving one early releases it.
 */
export class EventHub<T> implements AsyncIterable<T> {
  readonly #options: EventHubOptions<T>;
  readonly #limit: number;
  readonly #head: Node<T> = { event: undefined, next: undefined, prev: undefined, bytesBefore: 0, bytes: 0 };
  #tail: Node<T> = this.#head;
  #bytes = 0;
  #kept = 0;
  readonly #recent: Node<T>[] = [];
  #recentStart = 0;
  readonly #latest = new Map<string, Node<T>>();
  #ended = false;
  #wake: (() => void)[] = [];

  constructor(options: EventHubOptions<T>) {
    this.#options = options;
    this.#limit = options.limit ?? 1024 * 1024;
  }

  /** Adds an event for all readers, present and future. Ignored once the hub has ended. */
  push(event: T): void {
    if (this.#ended) return;
    const retention = this.#options.retention(event);
    const bytes = retention.keep === "recent" ? retention.bytes : 0;
    const node: Node<T> = { event, next: undefined, prev: this.#tail, bytesBefore: this.#bytes, bytes };
    this.#tail.next = node;
    this.#tail = node;
    this.#bytes += bytes;
    if (retention.keep === "latest") {
      const older = this.#latest.get(retention.key);
      if (older !== undefined) this.#unlink(older);
      this.#latest.set(retention.key, node);
    } else if (retention.keep === "recent") {
      this.#recent.push(node);
      this.#kept += bytes;
      this.#dropOldest();
    }
    this.#wakeAll();
  }

  /** Ends all iterators once they have read what is kept. */
  end(): void {
    this.#ended = true;
    this.#wakeAll();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let node = this.#head;
    let seen = 0;
    for (;;) {
      const next = node.next;
      if (next === undefined) {
        if (this.#ended) {
          if (this.#bytes > seen) yield this.#options.dropped(this.#bytes - seen);
          return;
        }
        await new Promise<void>((resolve) => this.#wake.push(resolve));
        continue;
      }
      node = next;
      const event = node.event;
      if (event === undefined) continue;
      const missed = node.bytesBefore - seen;
      seen = node.bytesBefore + node.bytes;
      if (missed > 0) yield this.#options.dropped(missed);
      yield event;
    }
  }

  #dropOldest(): void {
    while (this.#kept > this.#limit) {
      const oldest = this.#recent[this.#recentStart];
      if (oldest === undefined) break;
      this.#recentStart += 1;
      this.#kept -= oldest.bytes;
      this.#unlink(oldest);
    }
    if (this.#recentStart > 1024 && this.#recentStart * 2 > this.#recent.length) {
      this.#recent.splice(0, this.#recentStart);
      this.#recentStart = 0;
    }
  }

  // A reader may stand on the node, so its own `next` stays: the reader walks back into the list from there.
  #unlink(node: Node<T>): void {
    node.event = undefined;
    if (node === this.#tail) return;
    const { prev, next } = node;
    if (prev !== undefined) prev.next = next;
    if (next !== undefined) next.prev = prev;
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    if (waiting.length === 0) return;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
