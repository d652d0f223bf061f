import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { cleanText, lastRedraw } from "../../../src/cli/clean-text.js";
import { clipNote } from "../../../src/cli/clip-note.js";
import { exitCodeFor, Interruption } from "../../../src/cli/exit-codes.js";
import { parseOutput } from "../../../src/cli/output-spec.js";
import { formatBytes, formatDuration, renderFrame, width } from "../../../src/cli/progress/frame.js";
import { plainView } from "../../../src/cli/progress/plain.js";
import { initialProgress, nextProgress } from "../../../src/cli/progress/state.js";
import { renderError } from "../../../src/cli/render-error.js";
import { KilnError } from "../../../src/errors.js";
import type { BuildEvent } from "../../../src/model/events.js";
import { SolveError } from "../../../src/solver/solve-error.js";

describe("--output", () => {
  it.each([
    ["oci:./out", { type: "oci-layout", dir: "./out" }],
    ["oci:out.tar", { type: "oci-tar", target: "out.tar" }],
    ["registry:localhost:5000/a:1", { type: "registry", names: ["localhost:5000/a:1"] }],
    [
      "type=registry,name=a/b:1;a/b:2,compression=zstd,compression-level=3",
      { type: "registry", names: ["a/b:1", "a/b:2"], options: { compression: "zstd", compressionLevel: 3 } },
    ],
    ["docker:x.tar", { type: "docker-tar", target: "x.tar" }],
    ["type=local,dest=out", { type: "local", dir: "out" }],
    ["./out", { type: "local", dir: "./out" }],
    ["tar:f.tar", { type: "tar", target: "f.tar" }],
    ["docker-image:a/b:1", { type: "docker-image", names: ["a/b:1"] }],
    ["type=docker,name=a;b", { type: "docker-image", names: ["a", "b"] }],
    ["type=docker,name=a,dest=./a.tar", { type: "docker-tar", target: "./a.tar" }],
  ])("%s", (text, expected) => {
    expect(parseOutput(text)).toMatchObject(expected);
  });

  it.each([
    ["nope:x", 'no type "nope"'],
    ["type=oci", "needs dest="],
    ["type=oci,dest=x,nme=y", 'no key "nme"'],
    ["type=registry,name=a/b,compression=lz4", "unknown compression"],
    ["type=registry,name=a/b,push-by-digest=maybe", "true or false"],
    ["type=tar,dest=x,compression=gzip", 'no key "compression"'],
  ])("refuses %s", (text, why) => {
    expect(() => parseOutput(text)).toThrow(why);
  });
});

it.each([
  [new KilnError("ERR_KILN_STEP_FAILED", "x"), 1],
  [new KilnError("ERR_KILN_UNKNOWN_OPTION", "x"), 2],
  [new KilnError("ERR_KILN_NO_DAEMON", "x"), 3],
  [new Error("bug"), 70],
  [new Interruption("SIGINT"), 130],
  [new Interruption("SIGTERM"), 143],
])("%s exits with %i", (error, code) => {
  expect(exitCodeFor(error)).toBe(code);
});

it("cleans text of escapes and control characters, and keeps the last state of a redrawn line", () => {
  expect(cleanText("\u001b[31mred\u001b[0m \u001b]0;title\u0007ok\u0000\tx")).toBe("red ok\tx");
  expect(lastRedraw(" 10%\r 50%\r100%\r")).toBe("100%");
});

const started = (vertex: string, step?: number): BuildEvent => ({
  type: "vertex.started",
  vertex,
  name: `run ${vertex}`,
  inputs: [],
  at: 0,
  step,
});
const events: readonly BuildEvent[] = [
  { type: "phase", phase: "solve", message: "building 3 steps", at: 0 },
  {
    type: "planned",
    at: 0,
    steps: [
      { index: 0, id: "fromRegistry", title: "fromRegistry debian" },
      { index: 1, id: "runCommands", title: "runCommands make 日本" },
      { index: 2, id: "runCommands", title: "runCommands never" },
    ],
  },
  { type: "vertex.cached", vertex: "a", name: "from debian", inputs: [], at: 0, step: 0 },
  started("b", 1),
  { type: "log", vertex: "b", stream: "stdout", text: "one\ntwo\u001b[2K\npart", at: 0, step: 1 },
  {
    type: "progress",
    vertex: "b",
    id: "p",
    name: "layer",
    current: 1_500_000,
    total: 3_000_000,
    done: false,
    at: 0,
    step: 1,
  },
];

describe("the progress view", () => {
  const state = (all: readonly BuildEvent[]) =>
    all.reduce((current, event, index) => nextProgress(current, event, 1000 * index), initialProgress);
  const frame = (all: readonly BuildEvent[], columns = 60, rows = 20, final = false) =>
    renderFrame(state(all), { columns, rows, now: 5200, final }).map(stripVTControlCharacters);

  it("shows a line a step, with the last output and sub-tasks of what runs", () => {
    expect(frame(events)).toEqual([
      "building 3 steps (1/3)",
      "✓ fromRegistry debian                               cached",
      "▸ runCommands make 日本                               2.2s",
      "  layer 1.5 MB / 3.0 MB",
      "  │ one",
      "  │ two",
      "  │ part",
      "· runCommands never",
    ]);
  });

  it("ends tidily: no output of steps that went well, nothing of steps that never began", () => {
    const done: BuildEvent = {
      type: "vertex.done",
      vertex: "b",
      name: "b",
      inputs: [],
      at: 0,
      durationMs: 5,
      step: 1,
    };
    expect(frame([...events, done], 60, 20, true).map((line) => line.split("  ")[0])).toEqual([
      "building 3 steps (2/3)",
      "✓ fromRegistry debian",
      "✓ runCommands make 日本",
    ]);
  });

  it("never exceeds the terminal, in lines or columns", () => {
    const many = Array.from({ length: 50 }, (_, index) => started(`v${index}${"x".repeat(100)}`));
    const lines = frame([...events, ...many], 40, 10);
    expect(lines.length).toBeLessThanOrEqual(9);
    expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(40);
  });

  it("marks a failed step and keeps its output", () => {
    const failed: BuildEvent = {
      type: "vertex.failed",
      vertex: "b",
      name: "b",
      inputs: [],
      at: 0,
      durationMs: 5,
      error: "exit code: 1",
      canceled: false,
      step: 1,
    };
    const lines = frame([...events, failed], 60, 20, true);
    expect(lines.some((line) => line.startsWith("✗ runCommands make"))).toBe(true);
    expect(lines).toContain("  │ two");
  });

  it("says once a step that the daemon clipped its output", () => {
    const clip = { stream: "stdout", limit: "speed", limitBytes: 200 * 1024 } as const;
    const clipped: BuildEvent = { type: "log.clipped", vertex: "b", ...clip, at: 0, step: 1 };
    const note =
      "stdout clipped by the daemon: faster than 200 KiB a second (its BUILDKIT_STEP_LOG_MAX_SPEED)";
    expect(clipNote(clip)).toBe(note);
    const lines = frame([...events, clipped, clipped], 200);
    expect(lines.filter((line) => line.includes("clipped"))).toEqual([`! runCommands make 日本: ${note}`]);
    let text = "";
    const view = plainView({ write: (part) => (text += part), columns: 80, rows: 20, now: () => 0 });
    for (const event of [...events, clipped, clipped]) view.show(event);
    expect(text.split("\n").slice(-4)).toEqual(["#2 | two", "#2 | part", `#2 (${note})`, ""]);
    const error = new SolveError("ERR_KILN_STEP_FAILED", "failed", { logTail: ["end"], logClips: [clip] });
    expect(stripVTControlCharacters(renderError(error))).toContain(
      `  last output:\n  (lines are missing: ${note})\n  │ end`,
    );
  });

  it.each([
    [{ stream: "stderr", limit: "size", limitBytes: 2 * 1024 ** 2 }, "more than 2 MiB"],
    [{ stream: "stderr", limit: "size", limitBytes: 1000 }, "more than 1000 B"],
    [{ stream: "stderr", limit: "speed", limitBytes: 1_500_000 }, "faster than 1.4 MiB a second"],
  ] as const)("names the limit of %o", (clip, text) => {
    expect(clipNote(clip)).toContain(`stderr clipped by the daemon: ${text} (its BUILDKIT_STEP_LOG_MAX_`);
  });

  it("prints plain lines with numbers, whole lines only", () => {
    let text = "";
    const view = plainView({ write: (part) => (text += part), columns: 80, rows: 20, now: () => 0 });
    for (const event of events) view.show(event);
    view.close();
    expect(text.split("\n")).toEqual([
      "building 3 steps",
      "#1 from debian",
      "#1 CACHED",
      "#2 run b",
      "#2 | one",
      "#2 | two",
      "#2 | part",
      "",
    ]);
  });
});

it("writes sizes, times and widths for people", () => {
  expect([0, 999, 1000, 1_234_567, 5e12].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "1.2 MB",
    "5.0 TB",
  ]);
  expect([0, 1234, 59_900, 125_000].map(formatDuration)).toEqual(["0.0s", "1.2s", "59.9s", "2m05s"]);
  expect(["abc", "日本", "e\u0301", "🔥"].map(width)).toEqual([3, 4, 1, 2]);
});

it("has a line in docs/errors.md for each error code", () => {
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
  const codes = [...read("src/errors.ts").matchAll(/\| "(ERR_KILN_[A-Z_]+)"/g)].map(([, code]) => code);
  const lines = read("docs/errors.md");
  expect(codes.length).toBeGreaterThan(30);
  expect(codes.filter((code) => !new RegExp(`\\| \`${code}\` +\\| \\S.*\\| \\S`).test(lines))).toEqual([]);
});
