import { describe, expect, it } from "vitest";
import { EventHistory, type EventRetention } from "../../../../src/cache/sharing/event-history.js";

type Event =
  | readonly ["state" | "dropped", number]
  | readonly ["log", string]
  | readonly ["at", string, number];

function retention(event: Event): EventRetention {
  if (event[0] === "log") return { keep: "recent", bytes: event[1].length };
  return event[0] === "at" ? { keep: "latest", key: event[1] } : { keep: "always" };
}

function history(limit: number): EventHistory<Event> {
  return new EventHistory<Event>({ retention, limit, dropped: (bytes) => ["dropped", bytes] });
}

describe("the history of a run", () => {
  it("keeps states, the newest of progress, and the newest logs, and says where logs are missing", () => {
    const kept = history(4);
    kept.push(["state", 1]);
    kept.push(["log", "aaa"]);
    kept.push(["at", "x", 1]);
    kept.push(["at", "y", 1]);
    kept.push(["log", "bb"]);
    kept.push(["state", 2]);
    kept.push(["at", "x", 2]);
    kept.push(["log", "cc"]);
    expect([...kept.replay()]).toEqual([
      ["state", 1],
      ["dropped", 3],
      ["at", "y", 1],
      ["log", "bb"],
      ["state", 2],
      ["at", "x", 2],
      ["log", "cc"],
    ]);
  });

  it("says that logs are missing at its end as well", () => {
    const kept = history(4);
    kept.push(["state", 1]);
    kept.push(["log", "too long"]);
    expect([...kept.replay()]).toEqual([
      ["state", 1],
      ["dropped", 8],
    ]);
  });

  it("stays right and small over many events", () => {
    const kept = history(1000);
    for (let count = 0; count < 20_000; count += 1) {
      kept.push(["log", "0123456789"]);
      kept.push(["at", `key ${count % 3}`, count]);
      if (count % 5000 === 0) kept.push(["state", count]);
    }
    const replayed = [...kept.replay()];
    expect(replayed.filter(([kind]) => kind === "log")).toHaveLength(100);
    expect(replayed.filter(([kind]) => kind === "at").map(([, , count]) => count)).toEqual([
      19_997, 19_998, 19_999,
    ]);
    expect(replayed.filter(([kind]) => kind === "state")).toHaveLength(4);
    const dropped = replayed.flatMap((event) => (event[0] === "dropped" ? [event[1]] : []));
    expect(dropped.reduce((sum, bytes) => sum + bytes, 0)).toBe(199_000);
  });
});
