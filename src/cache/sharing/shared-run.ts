import { createDeferred, type Deferred } from "../../internal/deferred.js";
import { isRunning } from "../../internal/process-mark.js";
import { EventHistory, type EventRetention } from "./event-history.js";
import { findRun, type RunPlace } from "./find-run.js";
import { followJournal, type RunJournal, type SharedRunCodecs } from "./run-journal.js";

/** What {@link sharedRun} shares, and how. */
export interface SharedRunOptions<Result, Event> {
  /** Directory by which processes find each other, made if need be; `undefined` = this process alone. */
  readonly dir: string | undefined;
  /** Of everything that makes a difference to the result: hexadecimal, 128 digits at most. */
  readonly key: string;
  /** Does it, if nobody does it yet. Its signal aborts once nobody in this process wants the result any more. */
  readonly run: (emit: (event: Event) => void, signal: AbortSignal) => Promise<Result>;
  /** Told of all events, whoever runs. If it throws, the caller leaves with that error. */
  readonly emit: (event: Event) => void;
  readonly codecs: SharedRunCodecs<Result, Event>;
  /** How events are kept for those who come later. */
  readonly retention: (event: Event) => EventRetention;
  /** The event that stands for logs that those who come later missed. */
  readonly dropped: (bytes: number) => Event;
  /**
   * Told when who ran it is gone, before the events of the next: `self` = it is this process. What came before stays told,
   * and the next begins anew.
   */
  readonly onTakeOver?: ((by: "self" | "other") => void) | undefined;
  /**
   * Whether an error is everybody's, as it says what is wrong with what was run; else it is about whoever ran it, who alone
   * gets it, and another one runs it again. Default: all errors are everybody's.
   */
  readonly isEverybodys?: ((error: unknown) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A process that runs it and gives no sign of life for so long is left behind, in milliseconds. Default 30 seconds. */
  readonly silentMs?: number | undefined;
  /** Milliseconds by a clock that is never set. Default: the process's. */
  readonly now?: (() => number) | undefined;
}

/** A result, and whose it is. */
export interface SharedRunResult<Result> {
  readonly result: Result;
  /** `led` = this call ran it; `followed` = another one did, which may be told so; `took-over` = this one, later. */
  readonly shared: "led" | "followed" | "took-over";
}

/** What is under way in this process, by directory and key: a flight of its callers' types. */
const flights = new Map<string, object>();

/**
 * Runs something once for all who ask for it while it runs, in this process and others. Those who come later hear all
 * events from the start and get the same result, or the same error.
 *
 * In one process it goes on until nobody wants it any more: who aborts gets the signal's reason, and the others go on. The
 * last to abort hears the events to the end, and gets what the run ends with. If who began it has left and it fails, it is
 * run again by another: it may have failed for what its owner closed. So it is when it fails for reasons of its owner's.
 *
 * When the process that runs it is killed, ends it by its signal, stands still, or leaves a damaged file, one of the
 * others runs it, and the rest follow that one. Where `dir` cannot be written, each process runs for itself.
 *
 * Rejects with what the run was rejected with, or the signal's reason.
 */
export async function sharedRun<Result, Event>(
  options: SharedRunOptions<Result, Event>,
): Promise<SharedRunResult<Result>> {
  const { dir, key, signal } = options;
  if (!/^[0-9a-f]{1,128}$/.test(key)) throw new TypeError(`${JSON.stringify(key)} is no key of a run`);
  signal?.throwIfAborted();
  const id = `${key} ${dir ?? ""}`;
  const known = flights.get(id) as Flight<Result, Event> | undefined;
  if (known !== undefined) return known.join(options);
  const flight = new Flight<Result, Event>(options, () => {
    if (flights.get(id) === flight) flights.delete(id);
  });
  flights.set(id, flight);
  return flight.join(options);
}

interface Participant<Result, Event> {
  readonly options: SharedRunOptions<Result, Event>;
  readonly end: Deferred<SharedRunResult<Result>>;
}

const defaultSilentMs = 30_000;
/** After so many runs that were lost, something else is wrong. */
const mostLost = 8;

class Flight<Result, Event> {
  readonly #options: SharedRunOptions<Result, Event>;
  readonly #land: () => void;
  readonly #wanted = new AbortController();
  readonly #participants = new Set<Participant<Result, Event>>();
  readonly #lost = new Set<string>();
  #history: EventHistory<Event>;
  #isTakenOver = false;
  /** Whoever of this process runs it. */
  #owner: Participant<Result, Event> | undefined;
  /** Whoever left as the last one, and waits for the run's end. */
  #last: Participant<Result, Event> | undefined;
  #isBegun = false;

  /** `land` is called once nobody may join any more. */
  constructor(options: SharedRunOptions<Result, Event>, land: () => void) {
    this.#options = options;
    this.#land = land;
    this.#history = new EventHistory(options);
  }

  async join(options: SharedRunOptions<Result, Event>): Promise<SharedRunResult<Result>> {
    const { signal } = options;
    const participant = { options, end: createDeferred<SharedRunResult<Result>>() };
    const leave = (): void => this.#leave(participant, signal?.reason);
    this.#participants.add(participant);
    signal?.addEventListener("abort", leave, { once: true });
    for (const event of this.#history.replay()) this.#tell(participant, event);
    if (!this.#isBegun) {
      this.#isBegun = true;
      void this.#fly();
    }
    try {
      return await participant.end.promise;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  async #fly(): Promise<void> {
    try {
      while (!this.#wanted.signal.aborted && !(await this.#attempt()));
    } catch (error) {
      // A run's own error was told: this one is nobody's in particular.
      this.#settle((participant) => participant.end.reject(error));
    }
  }

  /** Runs or follows; whether that brought the end. */
  async #attempt(): Promise<boolean> {
    const { signal } = this.#wanted;
    const place = await this.#findPlace();
    const [owner] = this.#participants;
    if (owner === undefined) {
      await this.#leavePlace(place);
      return true;
    }
    if (this.#isTakenOver) this.#tellTakeOver(place.kind === "follow" ? "other" : "self");
    if (place.kind !== "follow") {
      return this.#lead(owner, place.kind === "lead" ? place.journal : undefined);
    }
    const { silentMs = defaultSilentMs, now = () => performance.now(), codecs } = this.#options;
    const end = await followJournal(place.file, {
      ...{ codecs, silentMs, now, signal },
      isRunning: () => isRunning(place.mark),
      onEvent: (event) => this.#hear(event),
    });
    if ("gone" in end) {
      this.#lost.add(place.name);
      this.#isTakenOver = true;
      return false;
    }
    this.#settle((participant) => {
      if ("error" in end) participant.end.reject(end.error);
      else participant.end.resolve({ result: end.result, shared: "followed" });
    });
    return true;
  }

  async #findPlace(): Promise<RunPlace<Result, Event>> {
    const { dir, key, codecs, silentMs = defaultSilentMs } = this.#options;
    if (dir === undefined || this.#lost.size > mostLost) return { kind: "alone" };
    const { signal } = this.#wanted;
    return findRun({ dir, key, lost: this.#lost, silentMs, codecs, events: this.#options, signal });
  }

  async #leavePlace(place: RunPlace<Result, Event>): Promise<void> {
    if (place.kind === "lead") await place.journal.end({ gone: true });
    if (place.kind === "follow") await place.file.close();
  }

  /** Runs it for all; false if it has to be run again by another. */
  async #lead(
    owner: Participant<Result, Event>,
    journal: RunJournal<Result, Event> | undefined,
  ): Promise<boolean> {
    this.#owner = owner;
    let isOver = false;
    const emit = (event: Event): void => {
      if (isOver) return;
      journal?.event(event);
      this.#hear(event);
    };
    let end: { readonly result: Result } | { readonly error: unknown };
    try {
      end = { result: await owner.options.run(emit, this.#wanted.signal) };
    } catch (error) {
      end = { error };
    }
    isOver = true;
    // It may have failed for what its owner, who has left, closed or aborted.
    const failed = "error" in end ? end : undefined;
    const isNobodys =
      failed !== undefined &&
      (!this.#participants.has(owner) || owner.options.isEverybodys?.(failed.error) === false);
    await journal?.end(isNobodys ? { gone: true } : end);
    this.#owner = undefined;
    if (isNobodys && this.#participants.delete(owner)) owner.end.reject(failed.error);
    if (isNobodys && this.#participants.size > 0) {
      this.#isTakenOver = true;
      return false;
    }
    const own = this.#isTakenOver ? "took-over" : "led";
    this.#settle((participant) => {
      if ("error" in end) participant.end.reject(end.error);
      else participant.end.resolve({ result: end.result, shared: participant === owner ? own : "followed" });
    });
    return true;
  }

  #hear(event: Event): void {
    this.#history.push(event);
    for (const participant of this.#participants) this.#tell(participant, event);
    // Who waits for the end of what it aborted hears how it stops.
    if (this.#last !== undefined) this.#tell(this.#last, event);
  }

  #tell(participant: Participant<Result, Event>, event: Event): void {
    try {
      participant.options.emit(event);
    } catch (error) {
      this.#leave(participant, error);
    }
  }

  /** What those who come later hear begins with whoever runs it now. */
  #tellTakeOver(by: "self" | "other"): void {
    this.#history = new EventHistory(this.#options);
    for (const participant of this.#participants) {
      try {
        participant.options.onTakeOver?.(by);
      } catch (error) {
        this.#leave(participant, error);
      }
    }
  }

  #leave(participant: Participant<Result, Event>, reason: unknown): void {
    if (!this.#participants.delete(participant)) return;
    if (this.#participants.size === 0) {
      // As without sharing: an aborted run is waited for.
      if (this.#owner !== undefined) this.#last = participant;
      this.#land();
      this.#wanted.abort(reason);
      if (this.#last !== undefined) return;
    }
    participant.end.reject(reason);
  }

  #settle(how: (participant: Participant<Result, Event>) => void): void {
    this.#land();
    for (const participant of this.#participants) how(participant);
    if (this.#last !== undefined) how(this.#last);
    this.#participants.clear();
  }
}
