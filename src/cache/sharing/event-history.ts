/** How long an event is kept for those who come later. */
export type EventRetention =
  /** For good: what changed the state. */
  | { readonly keep: "always" }
  /** Until a newer one with the same key comes: progress. */
  | { readonly keep: "latest"; readonly key: string }
  /** While fewer than the limit of such bytes follow it: logs. */
  | { readonly keep: "recent"; readonly bytes: number };

/** What of events is to be kept. */
export interface EventHistoryOptions<Event> {
  readonly retention: (event: Event) => EventRetention;
  /** Makes the event that stands for logs that are kept no more. */
  readonly dropped: (bytes: number) => Event;
  /** Bytes of "recent" events that are kept. Default 1 MiB. */
  readonly limit?: number | undefined;
}

interface Entry<Event> {
  event: Event | undefined;
  /** Bytes of "recent" events before this one. */
  readonly before: number;
  readonly bytes: number;
}

/**
 * The events of a run so far, for those who join it: bounded by the "always" events, one a key, and the newest `limit`
 * bytes of logs.
 */
export class EventHistory<Event> {
  readonly #options: EventHistoryOptions<Event>;
  readonly #limit: number;
  #entries: Entry<Event>[] = [];
  #empty = 0;
  readonly #latest = new Map<string, Entry<Event>>();
  /** Kept logs, the oldest first from {@link #firstLog} on. */
  #logs: Entry<Event>[] = [];
  #firstLog = 0;
  #bytes = 0;
  #kept = 0;

  constructor(options: EventHistoryOptions<Event>) {
    this.#options = options;
    this.#limit = options.limit ?? 1024 * 1024;
  }

  /** Adds an event. */
  push(event: Event): void {
    const retention = this.#options.retention(event);
    const bytes = retention.keep === "recent" ? retention.bytes : 0;
    const entry: Entry<Event> = { event, before: this.#bytes, bytes };
    this.#entries.push(entry);
    this.#bytes += bytes;
    if (retention.keep === "latest") {
      this.#forget(this.#latest.get(retention.key));
      this.#latest.set(retention.key, entry);
    } else if (retention.keep === "recent") {
      this.#logs.push(entry);
      this.#kept += bytes;
      this.#dropLogs();
    }
    if (this.#empty > 1024 && this.#empty * 2 > this.#entries.length) {
      this.#entries = this.#entries.filter((one) => one.event !== undefined);
      this.#empty = 0;
    }
  }

  /** What is kept, in order, with a word where logs were dropped. */
  *replay(): Generator<Event, void, undefined> {
    let seen = 0;
    for (const { event, before, bytes } of this.#entries) {
      if (event === undefined) continue;
      if (before > seen) yield this.#options.dropped(before - seen);
      seen = before + bytes;
      yield event;
    }
    if (this.#bytes > seen) yield this.#options.dropped(this.#bytes - seen);
  }

  #dropLogs(): void {
    while (this.#kept > this.#limit) {
      const oldest = this.#logs[this.#firstLog];
      if (oldest === undefined) break;
      this.#firstLog += 1;
      this.#kept -= oldest.bytes;
      this.#forget(oldest);
    }
    if (this.#firstLog > 1024 && this.#firstLog * 2 > this.#logs.length) {
      this.#logs = this.#logs.slice(this.#firstLog);
      this.#firstLog = 0;
    }
  }

  #forget(entry: Entry<Event> | undefined): void {
    if (entry?.event === undefined) return;
    entry.event = undefined;
    this.#empty += 1;
  }
}
