import { describe, expect, it } from "vitest";
import type { BuildResult } from "../../../src/engine/build.js";
import { buildCodecs } from "../../../src/engine/build-codecs.js";
import type { StepRecord } from "../../../src/model/build-record.js";
import type { BuildEvent } from "../../../src/model/events.js";

const steps: readonly StepRecord[] = [
  { index: 0, id: "fromRegistry", title: "fromRegistry", outcome: "cached", durationMs: 0 },
  {
    ...{ index: 1, id: "runCommands", title: "runCommands make", outcome: "ran", durationMs: 12.5 },
    cause: { kind: "files", text: "1 of 2 files changed", changed: 1, total: 2, paths: ["a"] },
  },
];

const result: BuildResult = {
  ref: "abc",
  platform: { os: "linux", architecture: "arm64", variant: "v8" },
  verified: false,
  daemon: "unix:///run/buildkit/buildkitd.sock",
  digest: undefined,
  outputs: [{ type: "local", target: "out", digest: undefined }],
  steps,
  startedAt: 1_700_000_000_000,
  durationMs: 12,
  cache: { cached: 1, ran: 1, steps },
  exporterResponse: { "containerimage.digest": "sha256:abc", "": "x" },
  ignoredFailures: [{ vertex: "sha256:def", name: "importing cache manifest", error: "none" }],
};

const at = 1_700_000_000_000.5;
const vertex = "sha256:abc";
const state = { vertex, name: "make", inputs: ["sha256:def"], at };
// Complete by its type: one of each.
const events: { readonly [T in BuildEvent["type"]]: Extract<BuildEvent, { readonly type: T }> } = {
  phase: { type: "phase", phase: "solve", message: "building", at },
  planned: { type: "planned", steps: [{ index: 0, id: "a", title: "a" }], at },
  "vertex.started": { type: "vertex.started", ...state, step: 1 },
  "vertex.cached": { type: "vertex.cached", ...state, step: undefined },
  "vertex.done": { type: "vertex.done", ...state, durationMs: 1 },
  "vertex.failed": { type: "vertex.failed", ...state, durationMs: 1, error: "exit code: 1", canceled: false },
  progress: { type: "progress", vertex, id: "x", name: "x", current: 1, total: 2 ** 53, done: false, at },
  log: { type: "log", vertex, stream: "stderr", text: "\u001b[31mred\n\ud83d\ude00", at },
  "log.clipped": { type: "log.clipped", vertex, stream: "stdout", limit: "speed", limitBytes: 204_800, at },
  warning: { type: "warning", vertex, level: 1, message: "m", detail: ["d"], url: "" },
  "logs.dropped": { type: "logs.dropped", bytes: 12 },
};

const throughText = (data: unknown): unknown => JSON.parse(JSON.stringify(data));

describe("builds told to another process", () => {
  it("have the same result", () => {
    const { encode, decode } = buildCodecs.result;
    expect(decode(throughText(encode(result)))).toStrictEqual(result);
  });

  it.each(Object.entries<BuildEvent>(events))("have the same events: %s", (_type, event) => {
    const { encode, decode } = buildCodecs.event;
    expect(decode(throughText(encode(event)))).toStrictEqual(event);
  });

  it.each([null, 1, [], {}, { ref: "x" }, { type: 1 }])("are not made of %j", (data) => {
    expect(() => buildCodecs.result.decode(data)).toThrow(TypeError);
    expect(() => buildCodecs.event.decode(data)).toThrow(TypeError);
  });
});
