import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { appendFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventRetention } from "../../src/cache/sharing/event-history.js";
import { RunJournal } from "../../src/cache/sharing/run-journal.js";
import {
  type SharedRunOptions,
  type SharedRunResult,
  sharedRun,
} from "../../src/cache/sharing/shared-run.js";
import { createDeferred } from "../../src/internal/deferred.js";
import { processMark } from "../../src/internal/process-mark.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-shared-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const key = "0123abcd";
const asIs = { encode: (value: unknown) => value, decode: (data: unknown) => String(data) };
const codecs = {
  result: asIs,
  event: asIs,
  error: { encode: (error: unknown) => String(error), decode: (data: unknown) => new Error(String(data)) },
};

function retention(event: string): EventRetention {
  if (event.startsWith("log")) return { keep: "recent", bytes: event.length };
  return event.startsWith("at ") ? { keep: "latest", key: "at" } : { keep: "always" };
}
const dropped = (bytes: number): string => `dropped ${bytes}`;

/** One who asks for the run, with the run that it would do itself. */
interface Asking {
  readonly events: string[];
  readonly result: Promise<SharedRunResult<string>>;
  /** Begun by this one: tells events and ends it. */
  readonly begun: Promise<void>;
  readonly emit: (event: string) => void;
  readonly finish: (result: string) => void;
  readonly fail: (error: unknown) => void;
  readonly abort: (reason: unknown) => void;
  readonly wasAborted: () => unknown;
}

function ask(options: Partial<SharedRunOptions<string, string>> = {}): Asking {
  const events: string[] = [];
  const begun = createDeferred<void>();
  const end = createDeferred<string>();
  const stop = new AbortController();
  let running: AbortSignal | undefined;
  let emit = (_event: string): void => {};
  const result = sharedRun<string, string>({
    ...{ dir, key, codecs, retention, dropped, signal: stop.signal },
    run(tell, signal) {
      emit = tell;
      running = signal;
      signal.addEventListener("abort", () => end.reject(signal.reason));
      begun.resolve();
      return end.promise;
    },
    emit: (event) => events.push(event),
    onTakeOver: (by) => events.push(`taken over by ${by}`),
    ...options,
  });
  result.catch(() => {});
  return {
    ...{ events, result, begun: begun.promise, finish: end.resolve, fail: end.reject },
    emit: (event) => emit(event),
    abort: (reason) => stop.abort(reason),
    wasAborted: () => running?.aborted,
  };
}

const runFiles = (): readonly string[] => readdirSync(dir).filter((name) => name.endsWith(".run1"));

describe.each([["with a directory"], ["without one"]])("a run that is asked for at once, %s", (where) => {
  const place = () => (where === "without one" ? { dir: undefined } : {});

  it("runs once for two, whenever the second comes", async () => {
    const first = ask(place());
    await first.begun;
    first.emit("one");
    const second = ask(place());
    expect(second.events).toEqual(["one"]);
    first.emit("two");
    first.finish("made");
    expect(await first.result).toEqual({ result: "made", shared: "led" });
    expect(await second.result).toEqual({ result: "made", shared: "followed" });
    expect([first.events, second.events]).toEqual([
      ["one", "two"],
      ["one", "two"],
    ]);
  });

  it("runs once for five, and again for one who comes afterwards", async () => {
    const asking = Array.from({ length: 5 }, () => ask(place()));
    await asking[0]!.begun;
    asking[0]!.finish("made");
    const results = await Promise.all(asking.map(({ result }) => result));
    expect(results.map(({ shared }) => shared)).toEqual(["led", ...Array(4).fill("followed")]);
    const later = ask(place());
    await later.begun;
    later.finish("anew");
    expect(await later.result).toEqual({ result: "anew", shared: "led" });
  });

  it("gives everyone the same error", async () => {
    const [first, second] = [ask(place()), ask(place())];
    await first.begun;
    const error = new TypeError("no");
    first.fail(error);
    await expect(first.result).rejects.toBe(error);
    await expect(second.result).rejects.toBe(error);
  });

  it("is run again for the others when its error is about who ran it", async () => {
    const isEverybodys = (error: unknown): boolean => error !== "mine";
    const three = Array.from({ length: 3 }, () => ask({ ...place(), isEverybodys }));
    await three[0]!.begun;
    three[0]!.emit("one");
    three[0]!.fail("mine");
    await expect(three[0]!.result).rejects.toBe("mine");
    await three[1]!.begun;
    three[1]!.emit("two");
    three[1]!.fail("everybody's");
    await expect(three[1]!.result).rejects.toBe("everybody's");
    await expect(three[2]!.result).rejects.toBe("everybody's");
    expect(three.map(({ events }) => events)).toEqual([
      ["one"],
      ["one", "taken over by self", "two"],
      ["one", "taken over by self", "two"],
    ]);
    const alone = ask({ ...place(), isEverybodys });
    await alone.begun;
    alone.fail("mine");
    await expect(alone.result).rejects.toBe("mine");
  });

  it("goes on when who began it aborts, until the last one does", async () => {
    const [first, second, third] = [ask(place()), ask(place()), ask(place())];
    await first.begun;
    first.abort(new Error("first left"));
    await expect(first.result).rejects.toThrow("first left");
    expect(first.wasAborted()).toBe(false);
    first.emit("still going");
    expect([first.events, second.events]).toEqual([[], ["still going"]]);
    third.abort(new Error("third left"));
    await expect(third.result).rejects.toThrow("third left");
    expect(first.wasAborted()).toBe(false);
    second.abort(new Error("second left"));
    await expect(second.result).rejects.toThrow("second left");
    expect(first.wasAborted()).toBe(true);
  });

  it("gives the result to those who stayed", async () => {
    const [first, second] = [ask(place()), ask(place())];
    await first.begun;
    first.abort(new Error("left"));
    first.finish("made");
    expect(await second.result).toEqual({ result: "made", shared: "followed" });
  });

  it("is run again by another when it fails after its owner left", async () => {
    const [first, second] = [ask(place()), ask(place())];
    await first.begun;
    first.emit("one");
    first.abort(new Error("left"));
    first.fail(new Error("its connection was closed"));
    await second.begun;
    second.emit("anew");
    const third = ask(place());
    second.finish("made");
    expect(await second.result).toEqual({ result: "made", shared: "took-over" });
    expect(await third.result).toEqual({ result: "made", shared: "followed" });
    expect(second.events).toEqual(["one", "taken over by self", "anew"]);
    expect(third.events).toEqual(["anew"]);
  });

  it("lets the one who aborts alone wait for what it aborted, and hear it", async () => {
    const begun = createDeferred<void>();
    const cleaned = createDeferred<void>();
    const waiting = ask({
      ...place(),
      async run(emit, signal) {
        begun.resolve();
        await cleaned.promise;
        emit("stopped");
        signal.throwIfAborted();
        return "made";
      },
    });
    await begun.promise;
    waiting.abort(new Error("left"));
    let isOver = false;
    waiting.result.catch(() => {
      isOver = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isOver).toBe(false);
    cleaned.resolve();
    await expect(waiting.result).rejects.toThrow("left");
    expect(waiting.events).toEqual(["stopped"]);
  });

  it("is not joined by one who comes after all have aborted", async () => {
    const first = ask(place());
    await first.begun;
    first.abort(new Error("left"));
    const second = ask(place());
    await second.begun;
    second.finish("made");
    expect((await second.result).result).toBe("made");
    await expect(first.result).rejects.toThrow("left");
  });

  it("loses who cannot hear, and goes on", async () => {
    const deaf = ask({
      ...place(),
      emit() {
        throw new RangeError("deaf");
      },
    });
    const second = ask(place());
    await deaf.begun;
    deaf.emit("one");
    await expect(deaf.result).rejects.toThrow("deaf");
    deaf.finish("made");
    expect(await second.result).toEqual({ result: "made", shared: "followed" });
    expect(second.events).toEqual(["one"]);
  });

  it("tells those who come late the newest logs and how much they missed", async () => {
    const first = ask(place());
    await first.begun;
    first.emit("state");
    const line = `log ${"x".repeat(1020)}`;
    for (let count = 0; count < 2000; count += 1) first.emit(line);
    const late = ask(place());
    expect(late.events.slice(0, 2)).toEqual(["state", `dropped ${976 * 1024}`]);
    expect(late.events).toHaveLength(2 + 1024);
    first.finish("made");
    await late.result;
  });

  it("rejects at once for a signal that was aborted before", async () => {
    const reason = new Error("before");
    await expect(ask({ ...place(), signal: AbortSignal.abort(reason) }).result).rejects.toBe(reason);
  });
});

it("takes no key that is none", async () => {
  await expect(ask({ key: "../x" }).result).rejects.toThrow(TypeError);
});

it("leaves nothing behind", async () => {
  for (let count = 0; count < 50; count += 1) {
    const asking = ask({ key: count.toString(16) });
    await asking.begun;
    asking.emit("event");
    if (count % 2 === 0) asking.finish("made");
    else asking.fail(new Error("no"));
    await asking.result.catch(() => {});
  }
  expect(readdirSync(dir)).toEqual(["lock"]);
  expect(readdirSync(join(dir, "lock")).sort()).toEqual(["50", "new"]);
  expect(readdirSync(join(dir, "lock", "new"))).toEqual([]);
});

it("runs where the directory cannot be made", async () => {
  writeFileSync(join(dir, "file"), "");
  const asking = ask({ dir: join(dir, "file", "below") });
  await asking.begun;
  asking.finish("made");
  expect(await asking.result).toEqual({ result: "made", shared: "led" });
});

it("runs though what it says cannot be told to others", async () => {
  const bad = { encode: () => JSON.parse("no JSON"), decode: String };
  const asking = ask({ codecs: { ...codecs, event: bad } });
  await asking.begun;
  asking.emit("one");
  asking.finish("made");
  expect(await asking.result).toEqual({ result: "made", shared: "led" });
  expect(asking.events).toEqual(["one"]);
  expect(runFiles()).toEqual([]);
});

/** The file of a run, as a process of that mark would have it. */
async function journalOf(mark: string): Promise<{
  readonly path: string;
  readonly journal: RunJournal<string, string>;
}> {
  const path = join(dir, `${key}.${mark}.abc.run1`);
  return { path, journal: await RunJournal.create(path, codecs, { retention, dropped }) };
}

const elsewhere = "0123456789ab.1.1";

describe("a run of another process", () => {
  it("is followed to its end", async () => {
    const { journal } = await journalOf(processMark());
    journal.event("one");
    journal.event("at 1");
    journal.event("at 2");
    journal.event("log 1");
    const [first, second] = [ask(), ask()];
    await expect.poll(() => first.events).toEqual(["one", "log 1", "at 2"]);
    journal.event("at 3");
    journal.event("two");
    await journal.end({ result: "made elsewhere" });
    expect(await first.result).toEqual({ result: "made elsewhere", shared: "followed" });
    expect(await second.result).toEqual({ result: "made elsewhere", shared: "followed" });
    expect(first.events.slice(3)).toEqual(["at 3", "two"]);
    expect(second.events).toEqual(first.events);
    expect(runFiles()).toEqual([]);
  });

  it("is followed to its error, with the words of the codec", async () => {
    const { journal } = await journalOf(processMark());
    const asking = ask();
    journal.event("one");
    await expect.poll(() => asking.events).toEqual(["one"]);
    await journal.end({ error: new RangeError("no") });
    await expect(asking.result).rejects.toThrow("RangeError: no");
  });

  it("is left at once by who aborts, and closed", async () => {
    const { journal } = await journalOf(processMark());
    const asking = ask();
    journal.event("one");
    await expect.poll(() => asking.events).toEqual(["one"]);
    asking.abort(new Error("left"));
    await expect(asking.result).rejects.toThrow("left");
    await journal.end({ result: "made" });
  });

  it("is seen as it comes, before the next is written", async () => {
    const { journal } = await journalOf(processMark());
    const seen: string[] = [];
    const asking = ask({ emit: (event) => seen.push(event) });
    for (let count = 0; count < 15; count += 1) {
      journal.event(`state ${count}`);
      await expect.poll(() => seen.length, { interval: 1, timeout: 10_000 }).toBe(count + 1);
      expect(seen.at(-1)).toBe(`state ${count}`);
    }
    await journal.end({ result: "made" });
    await asking.result;
  });

  it.each([
    ["is emptied, as on a full disk", (path: string) => writeFile(path, "")],
    ["gets a line that is none", (path: string) => appendFile(path, "garbage\n")],
    ["gets a line with a wrong checksum", (path: string) => appendFile(path, '00000000 {"event":"x"}\n')],
    ["gets a line without end", (path: string) => appendFile(path, "x".repeat(9 * 1024 * 1024))],
  ] as const)("is taken over when its file %s", async (_title, damage: (path: string) => Promise<void>) => {
    const { journal, path } = await journalOf(processMark());
    const asking = ask();
    journal.event("one");
    await expect.poll(() => asking.events).toEqual(["one"]);
    await damage(path);
    await asking.begun;
    asking.emit("anew");
    asking.finish("made");
    expect(await asking.result).toEqual({ result: "made", shared: "took-over" });
    expect(asking.events).toEqual(["one", "taken over by self", "anew"]);
    await journal.end({ result: "nobody hears" });
    expect(runFiles()).toEqual([]);
  });

  it("is taken over when its codecs cannot read it", async () => {
    const { journal } = await journalOf(processMark());
    const decode = (): string => {
      throw new TypeError("another version's");
    };
    const asking = ask({ codecs: { ...codecs, event: { ...asIs, decode } } });
    journal.event("one");
    await asking.begun;
    asking.finish("made");
    expect((await asking.result).shared).toBe("took-over");
    await journal.end({ result: "nobody hears" });
  });

  it("is taken over when it says that nobody runs it any more", async () => {
    const { journal } = await journalOf(processMark());
    const asking = ask();
    journal.event("one");
    await expect.poll(() => asking.events).toEqual(["one"]);
    await journal.end({ gone: true });
    await asking.begun;
    asking.finish("made");
    expect((await asking.result).shared).toBe("took-over");
  });

  it("that cannot be looked up is followed while it gives signs of life, then taken over", async () => {
    const { journal } = await journalOf(elsewhere);
    journal.event("one");
    let now = 0;
    const asking = ask({ now: () => now });
    await expect.poll(() => asking.events).toEqual(["one"]);
    now += 29_000;
    journal.event("two");
    await expect.poll(() => asking.events).toEqual(["one", "two"]);
    now += 29_000;
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(asking.events).toEqual(["one", "two"]);
    now += 2000;
    await asking.begun;
    asking.finish("made");
    expect((await asking.result).shared).toBe("took-over");
    await journal.end({ result: "nobody hears" });
  });

  it("that has been silent for long before is not even followed, and removed", async () => {
    const path = join(dir, `${key}.${elsewhere}.abc.run1`);
    writeFileSync(path, "");
    const longAgo = Date.now() / 1000 - 60;
    utimesSync(path, longAgo, longAgo);
    const asking = ask();
    await asking.begun;
    expect(runFiles()).toHaveLength(1);
    expect(runFiles()).not.toContain(`${key}.${elsewhere}.abc.run1`);
    asking.finish("made");
    expect((await asking.result).shared).toBe("led");
  });

  it("of another key, or in another format, is left alone", async () => {
    const others = [`ffff.${elsewhere}.abc.run1`, `${key}.${elsewhere}.abc.run2`, "something else"];
    for (const name of others) writeFileSync(join(dir, name), "");
    const asking = ask();
    await asking.begun;
    asking.finish("made");
    expect((await asking.result).shared).toBe("led");
    expect(readdirSync(dir).sort()).toEqual([...others, "lock"].sort());
  });

  it("is believed in nothing that one changed byte could have made of it", async () => {
    const { journal, path } = await journalOf(processMark());
    const keep = join(dir, "keep");
    journal.event("one");
    journal.event("two");
    const asking = ask();
    await expect.poll(() => asking.events).toEqual(["one", "two"]);
    const whole = readFileSync(path);
    await journal.end({ result: "made" });
    await asking.result;
    writeFileSync(keep, whole);
    for (let at = 0; at < whole.length; at += 3) {
      const changed = Buffer.from(whole);
      changed[at] = changed[at]! ^ 1;
      const file = join(dir, `${key}.${processMark()}.abc.run1`);
      writeFileSync(file, changed);
      // However long it takes to look at it, it is not taken for an old one.
      utimesSync(file, Date.now() / 1000 + 60, Date.now() / 1000 + 60);
      const reader = ask({ silentMs: 60 });
      await reader.begun;
      expect(["one", "two"]).toEqual(expect.arrayContaining(reader.events.slice(0, -1)));
      expect(reader.events.at(-1)).toBe("taken over by self");
      reader.finish("made here");
      expect((await reader.result).result).toBe("made here");
    }
  });
});

describe("a run's file", () => {
  it("holds a bounded number of logs, and says how much is missing", async () => {
    const { journal, path } = await journalOf(processMark());
    const asking = ask();
    const line = `log ${"x".repeat(1024 * 1024 - 4)}`;
    for (let count = 0; count < 20; count += 1) {
      journal.event(line);
      // Not faster than the disk.
      await expect.poll(() => asking.events.length >= Math.min(count + 1, 16), { interval: 5 }).toBe(true);
    }
    journal.event("state");
    await expect.poll(() => asking.events.slice(16)).toEqual([`dropped ${4 * 1024 * 1024}`, "state"]);
    expect(readFileSync(path).length).toBeLessThan(17 * 1024 * 1024);
    await journal.end({ result: "made" });
    await asking.result;
  });

  it("is given up when the disk does not keep up", async () => {
    const { journal } = await journalOf(processMark());
    for (let count = 0; count < 12; count += 1) journal.event(`state ${"x".repeat(2 * 1024 * 1024)}`);
    await journal.end({ result: "made" });
    expect(runFiles()).toEqual([]);
  });

  it("is for its owner's eyes alone", async () => {
    const { journal, path } = await journalOf(processMark());
    const { statSync } = await import("node:fs");
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
    await journal.end({ gone: true });
  });
});
