import { inspect } from "node:util";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { StatusResponseSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import type { SolveEvent } from "../../../src/model/events.js";
import { RpcError } from "../../../src/rpc/rpc-error.js";
import { SecretMasks } from "../../../src/session/secret-masks.js";
import type { SolveError } from "../../../src/solver/solve-error.js";
import { StatusTracker } from "../../../src/solver/status-tracker.js";
import { solveErrorFrom } from "../../../src/solver/translate-solve-error.js";

type Init = Parameters<typeof create<typeof StatusResponseSchema>>[1];

function track(...responses: readonly Init[]): Tracked {
  return trackMasked([], ...responses);
}

/** With secrets whose values must not show. */
function trackMasked(secrets: readonly string[], ...responses: readonly Init[]): Tracked {
  const events: SolveEvent[] = [];
  const masks = new SecretMasks();
  for (const secret of secrets) masks.add(secret);
  const tracker = new StatusTracker((event) => events.push(event), masks);
  for (const response of responses) tracker.push(create(StatusResponseSchema, response));
  tracker.end();
  return { events, tracker };
}

interface Tracked {
  readonly events: readonly SolveEvent[];
  readonly tracker: StatusTracker;
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

it("tells for how long the vertex has been running that started last", () => {
  const started = (digest: string) => ({ digest, name: digest, started: at(1000) });
  const ended = { ...started("b"), completed: at(2000) };
  expect(track({ vertexes: [{ digest: "a", name: "a" }, ended] }).tracker.youngestMs()).toBeUndefined();
  expect(track({ vertexes: [{ ...started("a"), cached: true }] }).tracker.youngestMs()).toBeUndefined();
  // By the clock of this process, whatever the daemon's shows.
  const age = track({ vertexes: [started("a"), ended] }).tracker.youngestMs();
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThan(60_000);
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

it("reports output that the daemon clipped, apart from the log and with the failure", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const log = (stream: bigint, text: string) => ({
    logs: [{ vertex: "a", stream, msg: bytes(text), timestamp: at(9) }],
  });
  const much = `${"x".repeat(1023)}\n`;
  const { events, tracker } = track(
    log(1n, much),
    log(1n, "cut\n[output clipped, log limit 1KiB/s"),
    log(2n, "[output clipped, log limit 1KiB/s reached]\n"),
    log(1n, " reached]\nlater\n"),
    log(1n, "more\n[output clipped, log limit 1KiB/s reached]\n"),
    log(1n, "the end\n[out"),
  );
  const clip = { stream: "stdout", limit: "speed", limitBytes: 1024 };
  const text = (text: string, stream = "stdout") => ({ type: "log", vertex: "a", stream, text, at: 9 });
  expect(events.slice(0, 8)).toEqual([
    text(much),
    text("cut\n"),
    text("[output clipped, log limit 1KiB/s reached]\n", "stderr"),
    { type: "log.clipped", vertex: "a", ...clip, at: 9 },
    text("later\n"),
    text("more\n"),
    { type: "log.clipped", vertex: "a", ...clip, at: 9 },
    text("the end\n"),
  ]);
  expect(events.at(8)).toMatchObject({ type: "log", text: "[out" });
  expect(tracker.logClips("a")).toEqual([clip]);
  expect(tracker.logClips("b")).toEqual([]);
  expect(tracker.logTail("a").slice(-2)).toEqual(["the end", "[out"]);
});

it("counts what is held back as output of a step that fails meanwhile", () => {
  const tracker = new StatusTracker(() => {});
  const msg = new TextEncoder().encode("a\n[output");
  tracker.push(create(StatusResponseSchema, { logs: [{ vertex: "a", stream: 1n, msg }] }));
  expect(tracker.logTail("a")).toEqual(["a", "[output"]);
});

const logOf = (stream: bigint, text: string, vertex = "a") => ({
  vertex,
  stream,
  msg: new TextEncoder().encode(text),
  timestamp: at(1),
});

it("masks the values of secrets wherever messages cut them, by vertex and stream", () => {
  const { events, tracker } = trackMasked(
    ["hunter22", "gr\u00fcn"],
    { logs: [logOf(1n, "a hun"), logOf(1n, "ter", "b"), logOf(2n, "ter22 "), logOf(1n, "ter")] },
    { logs: [logOf(1n, "22 b gr")] },
    // What comes with the end of a vertex may be printed before it.
    {
      vertexes: [
        { digest: "a", name: "a", started: at(1), completed: at(2), error: "exit code: 3 hunter22" },
      ],
      logs: [logOf(1n, "\u00fcn!\nhunter2")],
    },
    {
      warnings: [
        {
          vertex: "a",
          level: 1n,
          short: Buffer.from("W hunter22"),
          detail: [Buffer.from("hunter22")],
          url: "x",
        },
      ],
    },
  );
  const printed = (vertex: string, stream: string): string =>
    events
      .flatMap((event) =>
        event.type === "log" && event.vertex === vertex && event.stream === stream ? [event.text] : [],
      )
      .join("|");
  expect(printed("a", "stdout")).toBe("a |*** b |***!\n|hunter2");
  expect(printed("a", "stderr")).toBe("ter22 ");
  expect(printed("b", "stdout")).toBe("ter");
  expect(events.find(({ type }) => type === "vertex.failed")).toMatchObject({ error: "exit code: 3 ***" });
  expect(events.find(({ type }) => type === "warning")).toMatchObject({ message: "W ***", detail: ["***"] });
  expect(tracker.failures()).toMatchObject([{ error: "exit code: 3 ***" }]);
  expect(tracker.logTail("a")).toEqual(["a ter22 *** b ***!", "hunter2"]);
});

it("masks what a failed solve says, in the error's cause as well", () => {
  const { tracker } = trackMasked(["hunter22"]);
  const details = [{ kind: "vertex", digest: "a" }] as const;
  const answer = (message: string) =>
    new RpcError("ERR_KILN_RPC", message, { status: 2, details, cause: message });
  const error = solveErrorFrom(answer('process "hunter22" failed: exit code: 1'), tracker) as SolveError;
  expect(error).toMatchObject({ message: 'process "***" failed: exit code: 1', exitCode: 1, vertex: "a" });
  expect(inspect(error)).not.toContain("hunter22");
  const other = answer("no such thing");
  expect((solveErrorFrom(other, tracker) as SolveError).cause).toBe(other);
});
