import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { StatusResponseSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import type { SolveEvent } from "../../../src/model/events.js";
import { StatusTracker } from "../../../src/solver/status-tracker.js";

type Init = Parameters<typeof create<typeof StatusResponseSchema>>[1];

function track(...responses: readonly Init[]): {
  readonly events: readonly SolveEvent[];
  readonly tracker: StatusTracker;
} {
  const events: SolveEvent[] = [];
  const tracker = new StatusTracker((event) => events.push(event));
  for (const response of responses) tracker.push(create(StatusResponseSchema, response));
  tracker.end();
  return { events, tracker };
}

const at = timestampFromMs;

it("turns full resends of a vertex into one event a change", () => {
  const { events } = track(
    { vertexes: [{ digest: "a", name: "run", inputs: ["z"] }] },
    { vertexes: [{ digest: "a", name: "run", inputs: ["z"], started: at(1000) }] },
    { vertexes: [{ digest: "a", name: "run", inputs: ["z"], started: at(1000) }] },
    { vertexes: [{ digest: "a", name: "run", inputs: ["z"], started: at(1000), completed: at(3500) }] },
  );
  const base = { vertex: "a", name: "run", inputs: ["z"] };
  expect(events).toEqual([
    { type: "vertex.started", ...base, at: 1000 },
    { type: "vertex.done", ...base, at: 3500, durationMs: 2500 },
  ]);
});

it("reports a cached vertex once, and not as done", () => {
  const cached = { digest: "a", name: "run", cached: true, started: at(1), completed: at(1) };
  expect(track({ vertexes: [cached] }, { vertexes: [cached] }).events.map(({ type }) => type)).toEqual([
    "vertex.cached",
  ]);
});

it("reports each run of a vertex that runs again", () => {
  const run = (from: number, to: number) => ({
    digest: "a",
    name: "load",
    started: at(from),
    completed: at(to),
  });
  const { events } = track({ vertexes: [run(1, 2)] }, { vertexes: [run(5, 9)] });
  expect(events.map((event) => [event.type, "durationMs" in event ? event.durationMs : undefined])).toEqual([
    ["vertex.started", undefined],
    ["vertex.done", 1],
    ["vertex.started", undefined],
    ["vertex.done", 4],
  ]);
});

it("tells failed from cancelled", () => {
  const failed = (digest: string, error: string) => ({
    digest,
    name: digest,
    started: at(1),
    completed: at(2),
    error,
  });
  const { events, tracker } = track({
    vertexes: [failed("a", "context canceled: killed"), failed("b", "exit code: 3")],
  });
  expect(
    events.flatMap((event) => (event.type === "vertex.failed" ? [[event.vertex, event.canceled]] : [])),
  ).toEqual([
    ["a", true],
    ["b", false],
  ]);
  expect(tracker.firstFailed()).toBe("b");
});

it("decodes log bytes across messages, per stream", () => {
  const bytes = new TextEncoder().encode("é🔥");
  const { events } = track(
    { logs: [{ vertex: "a", stream: 1n, msg: bytes.subarray(0, 1), timestamp: at(1) }] },
    { logs: [{ vertex: "a", stream: 2n, msg: new TextEncoder().encode("err"), timestamp: at(1) }] },
    { logs: [{ vertex: "a", stream: 1n, msg: bytes.subarray(1, 4), timestamp: at(1) }] },
    { logs: [{ vertex: "a", stream: 1n, msg: bytes.subarray(4), timestamp: at(1) }] },
  );
  const texts = events.flatMap((event) => (event.type === "log" ? [[event.stream, event.text]] : []));
  expect(texts).toEqual([
    ["stderr", "err"],
    ["stdout", "é"],
    ["stdout", "🔥"],
  ]);
});

it("keeps the last twenty lines of a vertex for its error", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`).join("\n");
  const { tracker } = track({
    logs: [{ vertex: "a", stream: 1n, msg: new TextEncoder().encode(`${lines}\n`) }],
  });
  expect(tracker.logTail("a")).toHaveLength(20);
  expect(tracker.logTail("a").at(-1)).toBe("line 29");
  expect(tracker.logTail("nobody")).toEqual([]);
});

it("drops progress that says nothing new", () => {
  const status = (current: bigint, done = false) => ({
    ID: "x",
    vertex: "a",
    current,
    total: 9n,
    ...(done ? { completed: at(9) } : {}),
  });
  const { events } = track({ statuses: [status(1n), status(1n), status(2n), status(2n, true)] });
  expect(
    events.map((event) => (event.type === "progress" ? [event.current, event.done] : event.type)),
  ).toEqual([
    [1, false],
    [2, false],
    [2, true],
  ]);
});
