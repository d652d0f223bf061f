import { type FileHandle, open, rm } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { EventHistoryOptions } from "./event-history.js";

/** How something becomes JSON data and back. Both may throw: what cannot be told to others is then not shared. */
export interface Codec<T> {
  readonly encode: (value: T) => unknown;
  readonly decode: (data: unknown) => T;
}

/** How what a run says becomes JSON data and back. */
export interface SharedRunCodecs<Result, Event> {
  readonly result: Codec<Result>;
  readonly event: Codec<Event>;
  /** Of what the run was rejected with. */
  readonly error: Codec<unknown>;
}

/** A sign of life is written after so long without any other line, in milliseconds. */
const beatMs = 5000;
/** Lines are gathered for so long before they are written. */
const gatherMs = 5;
/** Progress is written once in so long, and when a state changes. */
const progressMs = 100;
/** The same once there was very much of it. */
const rareProgressMs = 5000;
/** Bytes of logs, and of progress before it becomes rare, that one file holds at most. */
const fileLimit = 16 * 1024 * 1024;
/** No line is longer. */
const lineLimit = 8 * 1024 * 1024;
/** As much may wait for a slow disk. */
const waitingLimit = 16 * 1024 * 1024;

/**
 * Tells other processes of a run, in a file that they follow.
 *
 * A line is `CRC JSON`, where CRC is that of all JSON texts so far (CRC-32, 8 hexadecimal digits), so that damage and
 * missing lines are noticed. The JSON is `{"event": …}`, or as the last one `{"result": …}`, `{"error": …}` or
 * `{"gone": true}`. An empty line is a sign of life. The file is removed once the last line is written: who has opened
 * it can read on, and who has not finds no run.
 *
 * Never fails a run: when the file cannot be written, or something cannot be encoded, the file is emptied and removed, and
 * those who follow it know that they have to run themselves.
 */
export class RunJournal<Result, Event> {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #codecs: SharedRunCodecs<Result, Event>;
  readonly #events: EventHistoryOptions<Event>;
  readonly #beat: NodeJS.Timeout;
  readonly #progress = new Map<string, Event>();
  #lines: string[] = [];
  #waiting = 0;
  #crc = 0;
  #logBytes = 0;
  #dropped = 0;
  #progressBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  #givingUp: Promise<void> | undefined;

  private constructor(
    path: string,
    file: FileHandle,
    codecs: SharedRunCodecs<Result, Event>,
    events: EventHistoryOptions<Event>,
  ) {
    this.#path = path;
    this.#file = file;
    this.#codecs = codecs;
    this.#events = events;
    this.#beat = setInterval(() => this.#giveSign(), beatMs).unref();
  }

  /** Makes the file, which must not be there. Rejects with the file system's error. */
  static async create<Result, Event>(
    path: string,
    codecs: SharedRunCodecs<Result, Event>,
    events: EventHistoryOptions<Event>,
  ): Promise<RunJournal<Result, Event>> {
    // A log may hold what is nobody else's business.
    return new RunJournal(path, await open(path, "wx", 0o600), codecs, events);
  }

  /** Tells an event. Logs beyond 16 MiB are dropped, and counted. */
  event(event: Event): void {
    if (this.#closed) return;
    const retention = this.#events.retention(event);
    switch (retention.keep) {
      case "latest":
        // In the order in which they came last.
        this.#progress.delete(retention.key);
        this.#progress.set(retention.key, event);
        this.#progressTimer ??= setTimeout(
          () => this.#writeProgress(),
          this.#progressBytes > fileLimit ? rareProgressMs : progressMs,
        ).unref();
        return;
      case "recent":
        this.#logBytes += retention.bytes;
        if (this.#logBytes > fileLimit) this.#dropped += retention.bytes;
        else this.#addEvent(event);
        return;
      case "always":
        this.#writeProgress();
        this.#writeDropped();
        this.#addEvent(event);
        return;
      default:
        retention satisfies never;
    }
  }

  /** Tells the run's end and removes the file. `gone` = whoever still wants a result has to run. */
  async end(
    end: { readonly result: Result } | { readonly error: unknown } | { readonly gone: true },
  ): Promise<void> {
    this.#writeProgress();
    this.#writeDropped();
    if ("gone" in end) this.#add({ gone: true });
    else if ("error" in end) this.#add(() => ({ error: this.#codecs.error.encode(end.error) }));
    else this.#add(() => ({ result: this.#codecs.result.encode(end.result) }));
    while (this.#lines.length > 0 || this.#writing !== undefined) await this.#flush();
    if (this.#givingUp !== undefined) return this.#givingUp;
    this.#stop();
    await this.#remove();
  }

  #addEvent(event: Event): number {
    return this.#add(() => ({ event: this.#codecs.event.encode(event) }));
  }

  /** Adds a line; gives its length. */
  #add(content: object | (() => object)): number {
    if (this.#closed) return 0;
    let text: string;
    try {
      text = JSON.stringify(typeof content === "function" ? content() : content);
    } catch {
      this.#giveUp();
      return 0;
    }
    this.#waiting += text.length;
    if (text.length > lineLimit / 3 || this.#waiting > waitingLimit) {
      this.#giveUp();
      return 0;
    }
    this.#crc = crc32(text, this.#crc);
    this.#lines.push(`${this.#crc.toString(16).padStart(8, "0")} ${text}\n`);
    this.#timer ??= setTimeout(() => void this.#flush(), gatherMs).unref();
    return text.length;
  }

  #writeProgress(): void {
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    for (const event of this.#progress.values()) this.#progressBytes += this.#addEvent(event);
    this.#progress.clear();
  }

  #writeDropped(): void {
    if (this.#dropped === 0) return;
    this.#addEvent(this.#events.dropped(this.#dropped));
    this.#dropped = 0;
  }

  #giveSign(): void {
    this.#lines.push("\n");
    void this.#flush();
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#lines.length > 0 && !this.#closed) {
      const text = this.#lines.join("");
      this.#lines = [];
      this.#waiting = 0;
      try {
        await this.#file.appendFile(text);
      } catch {
        this.#giveUp();
      }
    }
  }

  #giveUp(): void {
    if (this.#closed) return;
    this.#stop();
    this.#givingUp = (async () => {
      // Not from within the write that failed.
      await Promise.resolve();
      await this.#writing;
      // A full disk has room for an empty file.
      await this.#file.truncate(0).catch(() => {});
      await this.#remove();
    })();
  }

  async #remove(): Promise<void> {
    await rm(this.#path, { force: true }).catch(() => {});
    await this.#file.close().catch(() => {});
  }

  #stop(): void {
    this.#closed = true;
    this.#lines = [];
    this.#progress.clear();
    clearInterval(this.#beat);
    clearTimeout(this.#timer);
    clearTimeout(this.#progressTimer);
  }
}

/** How a run ended that was followed. */
export type FollowedEnd<Result> =
  | { readonly result: Result }
  | { readonly error: unknown }
  /** Nobody runs it any more, or nobody knows: its process is no more or silent, gave up, or its file is damaged. */
  | { readonly gone: true };

/** How a run is followed. */
export interface FollowOptions<Result, Event> {
  readonly codecs: SharedRunCodecs<Result, Event>;
  readonly onEvent: (event: Event) => void;
  /** Whether the process that runs it is there; `undefined` = that cannot be told. */
  readonly isRunning: () => boolean | undefined;
  /** How long it may give no sign of life, in milliseconds. */
  readonly silentMs: number;
  /** Milliseconds by a clock that is never set. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** A change is seen after so long at most, in milliseconds: asking costs less than a watch, and works on every disk. */
const pollMs = 25;
const chunkBytes = 256 * 1024;

/**
 * Follows the run that a {@link RunJournal} in another process tells of, from its start. Closes the file.
 *
 * Rejects with the signal's reason alone.
 */
export async function followJournal<Result, Event>(
  file: FileHandle,
  options: FollowOptions<Result, Event>,
): Promise<FollowedEnd<Result>> {
  const { isRunning, silentMs, now, signal } = options;
  const lines = new JournalLines(options.codecs);
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let position = 0;
  let heardAt = now();
  let isOver = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      if (bytesRead > 0) {
        position += bytesRead;
        heardAt = now();
        for (const line of lines.add(chunk.subarray(0, bytesRead))) {
          if (!("event" in line)) return line;
          // Whoever left must not hear the rest of a chunk.
          if (!signal.aborted) options.onEvent(line.event);
        }
        continue;
      }
      // What was written before the end of the process was read after it.
      if (isOver || now() - heardAt > silentMs || (await file.stat()).size < position) return { gone: true };
      isOver = isRunning() === false;
      if (!isOver) await pause(pollMs, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DamagedJournal || isFileError(error)) return { gone: true };
    throw error;
  } finally {
    await file.close().catch(() => {});
  }
}

class DamagedJournal extends Error {}

type Line<Result, Event> = FollowedEnd<Result> | { readonly event: Event };

/** Takes lines apart, whatever pieces they come in. */
class JournalLines<Result, Event> {
  readonly #codecs: SharedRunCodecs<Result, Event>;
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #crc = 0;

  constructor(codecs: SharedRunCodecs<Result, Event>) {
    this.#codecs = codecs;
  }

  *add(bytes: Buffer): Generator<Line<Result, Event>, void, undefined> {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(10, start);
      if (end < 0) break;
      const line = Buffer.concat([...this.#begun, bytes.subarray(start, end)]);
      this.#begun = [];
      this.#begunBytes = 0;
      start = end + 1;
      if (line.length > 0) yield this.#read(line);
    }
    // The reader's buffer is used again.
    if (start < bytes.length) this.#begun.push(Buffer.from(bytes.subarray(start)));
    this.#begunBytes += bytes.length - start;
    if (this.#begunBytes > lineLimit) throw new DamagedJournal();
  }

  #read(line: Buffer): Line<Result, Event> {
    const text = line.subarray(9);
    this.#crc = crc32(text, this.#crc);
    if (line.toString("latin1", 0, 9) !== `${this.#crc.toString(16).padStart(8, "0")} `) {
      throw new DamagedJournal();
    }
    try {
      return this.#decode(JSON.parse(text.toString("utf8")));
    } catch {
      throw new DamagedJournal();
    }
  }

  #decode(data: unknown): Line<Result, Event> {
    if (typeof data === "object" && data !== null) {
      if ("event" in data) return { event: this.#codecs.event.decode(data.event) };
      if ("result" in data) return { result: this.#codecs.result.decode(data.result) };
      if ("error" in data) return { error: this.#codecs.error.decode(data.error) };
      if ("gone" in data) return { gone: true };
    }
    throw new DamagedJournal();
  }
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
