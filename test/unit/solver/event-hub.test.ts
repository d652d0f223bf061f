import { expect, it } from "vitest";
import type { SolveEvent } from "../../../src/model/events.js";
import { EventHub } from "../../../src/solver/event-hub.js";
import { eventRetention, logsDropped } from "../../../src/solver/solve-event-retention.js";

function hub(limit?: number): EventHub<SolveEvent> {
  return new EventHub<SolveEvent>({ retention: eventRetention, dropped: logsDropped, limit });
}

const log = (text: string): SolveEvent => ({ type: "log", vertex: "v", stream: "stdout", text, at: 0 });
const started = (vertex: string): SolveEvent => ({
  type: "vertex.started",
  vertex,
  name: vertex,
  inputs: [],
  at: 0,
});
const progress = (current: number): SolveEvent => ({
  type: "progress",
  vertex: "v",
  id: "p",
  name: "p",
  current,
  total: 10,
  done: false,
  at: 0,
});

async function collect(iterable: AsyncIterable<SolveEvent>): Promise<readonly SolveEvent[]> {
  const events: SolveEvent[] = [];
  for await (const event of iterable) events.push(event);
  return events;
}

it("gives every iterator every state event, also one that starts after the end", async () => {
  const events = hub();
  const early = collect(events);
  events.push(started("a"));
  events.push(started("b"));
  events.end();
  expect(await early).toEqual([started("a"), started("b")]);
  expect(await collect(events)).toEqual([started("a"), started("b")]);
});

it("drops and counts the oldest logs beyond the limit for a reader that lags", async () => {
  const events = hub(10);
  events.push(started("a"));
  for (const text of ["11111", "22222", "33333", "44444"]) events.push(log(text));
  events.push(started("b"));
  events.end();
  expect(await collect(events)).toEqual([
    started("a"),
    { type: "logs.dropped", bytes: 10 },
    log("33333"),
    log("44444"),
    started("b"),
  ]);
});

it("drops nothing for a reader that keeps up", async () => {
  const events = hub(10);
  const reader = events[Symbol.asyncIterator]();
  for (let i = 0; i < 100; i += 1) {
    const next = reader.next();
    events.push(log(`line ${i}`));
    expect((await next).value).toEqual(log(`line ${i}`));
  }
  events.end();
  expect((await reader.next()).done).toBe(true);
});

it("tells a stalled reader about all it missed, also when dropped logs were the last events", async () => {
  const events = hub(4);
  const reader = events[Symbol.asyncIterator]();
  events.push(log("0123456789"));
  events.push(log("abcdefghij"));
  events.end();
  expect((await reader.next()).value).toEqual({ type: "logs.dropped", bytes: 20 });
  expect((await reader.next()).done).toBe(true);
});

it("keeps only the newest progress of one task for late readers", async () => {
  const events = hub();
  for (let i = 0; i < 5; i += 1) events.push(progress(i));
  events.end();
  expect(await collect(events)).toEqual([progress(4)]);
});

it("releases a reader that breaks off and goes on for the others", async () => {
  const events = hub();
  events.push(started("a"));
  for await (const event of events) {
    expect(event).toEqual(started("a"));
    break;
  }
  events.push(started("b"));
  events.end();
  expect(await collect(events)).toEqual([started("a"), started("b")]);
});
