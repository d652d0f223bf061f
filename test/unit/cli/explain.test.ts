import { Command } from "commander";
import { describe, expect, it, vi } from "vitest";
import { summary } from "../../../src/cli/commands/build.js";
import { addExplainCommand } from "../../../src/cli/commands/explain.js";
import { renderExplanation } from "../../../src/cli/render-explanation.js";
import { renderForecast } from "../../../src/cli/render-forecast.js";
import type { BuildResult } from "../../../src/engine/build.js";
import { explainBuilds, type RecordedBuilds } from "../../../src/engine/explain.js";
import { Image } from "../../../src/image/image.js";
import type { StoredBuild } from "../../../src/model/build-record.js";
import type { Forecast } from "../../../src/model/forecast.js";
import { Recorder } from "../cache/explain/recorder.js";
import type { Scene } from "../cache/explain/scene.js";

const scene = (command: string): Scene => ({
  image: Image.fromRegistry("busybox:1.37").runCommands(command).cmd(["sh"]),
  world: {},
});

/** Two builds, of which the second changed a command. */
async function twoBuilds(): Promise<readonly StoredBuild[]> {
  const recorder = new Recorder();
  await recorder.build(scene("one"));
  await recorder.build(scene("two"));
  return recorder.builds;
}

/** An index of builds under their refs, used in this order. */
function indexOf(builds: readonly (StoredBuild | { readonly ref: string })[]): RecordedBuilds {
  return {
    read: async (_kind, key) => builds.find(({ ref }) => ref === key),
    async *list() {
      for (const [usedAt, { ref }] of builds.entries()) yield { key: ref, usedAt };
    },
  };
}

describe("explaining recorded builds", () => {
  it("takes the last one, with the causes that were recorded", async () => {
    const [first, second] = await twoBuilds();
    const explained = await explainBuilds(indexOf([second!, first!]));
    expect(explained).toMatchObject({
      build: { ref: "build1", name: "recipe.ts", platform: "linux/amd64", outcome: "succeeded" },
      against: undefined,
      steps: [
        { index: 0, outcome: "cached", cause: undefined },
        { index: 1, outcome: "ran", cause: { kind: "arguments", text: 'command changed: "one" → "two"' } },
        { index: 2, outcome: "config", cause: undefined },
      ],
    });
  });

  it("takes one by its ref or the beginning of it, whatever else is there", async () => {
    const [build] = await twoBuilds();
    const index = indexOf([
      { ...build!, ref: "abc" },
      { ...build!, ref: "abcd" },
      { ...build!, ref: "xyz" },
    ]);
    expect((await explainBuilds(index, { build: "x" })).build.ref).toBe("xyz");
    expect((await explainBuilds(index, { build: "ABC" })).build.ref).toBe("abc");
    expect((await explainBuilds(index, { build: "abcd" })).build.ref).toBe("abcd");
    await expect(explainBuilds(index, { build: "ab" })).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      message: "2 builds begin with ab",
      hint: "Write more of it: abc, abcd.",
    });
    for (const ref of ["abcde", ""]) {
      await expect(explainBuilds(index, { build: ref })).rejects.toMatchObject({
        code: "ERR_KILN_BUILD_NOT_FOUND",
      });
    }
  });

  it("says so where nothing is recorded, or nothing that is a build", async () => {
    for (const index of [indexOf([]), indexOf([{ ref: "a" }])]) {
      await expect(explainBuilds(index)).rejects.toMatchObject({
        code: "ERR_KILN_BUILD_NOT_FOUND",
        message: "no build is recorded",
      });
    }
    await expect(explainBuilds(indexOf([{ ref: "a" }]), { build: "a" })).rejects.toMatchObject({
      code: "ERR_KILN_BUILD_NOT_FOUND",
    });
  });

  it("leaves records aside that have lost a part", async () => {
    const [build] = await twoBuilds();
    const damaged = (change: Record<string, unknown>) => ({ ...build!, ref: "a", startedAt: 99, ...change });
    const wrong = [
      ...[{ platform: "linux" }, { steps: {} }, { steps: [{ index: "0" }] }, { fingerprints: [{}] }],
      ...[{ fingerprints: [{ ...build!.fingerprints[0], inputs: [null] }] }, { startedAt: "now" }],
    ];
    for (const change of wrong) {
      const index = indexOf([build!, damaged(change) as unknown as StoredBuild]);
      expect((await explainBuilds(index)).build.ref).toBe("build0");
    }
  });

  it("compares any two, in either direction", async () => {
    const index = indexOf(await twoBuilds());
    const there = await explainBuilds(index, { build: "build0", other: "build1" });
    expect(there).toMatchObject({ build: { ref: "build1" }, against: { ref: "build0" } });
    expect(there.steps.map(({ cause }) => cause?.text)).toEqual([
      undefined,
      'command changed: "one" → "two"',
      undefined,
    ]);
    const back = await explainBuilds(index, { build: "build1", other: "build0" });
    expect(back.steps[1]?.cause?.text).toBe('command changed: "two" → "one"');
  });
});

describe("kiln explain", () => {
  async function run(...args: readonly string[]): Promise<string> {
    const builds = indexOf(await twoBuilds());
    const program = new Command().exitOverride();
    addExplainCommand(program, () => ({ builds }));
    let text = "";
    const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
    try {
      await program.parseAsync(["node", "kiln", "explain", ...args]);
    } finally {
      write.mockRestore();
    }
    return text;
  }

  it("prints a line a step with its cause", async () => {
    const lines = (await run()).split("\n");
    expect(lines[0]).toBe(
      "build build1 of recipe.ts: succeeded after 0.0s, 1970-01-01T00:00:00, linux/amd64, unix:///one",
    );
    expect(lines.slice(2)).toEqual([
      "STEP  WHAT    TOOK  TITLE                      WHY",
      "1     cached        fromRegistry busybox:1.37",
      '2     ran     1.0s  runCommands two            command changed: "one" → "two"',
      '3     config        cmd ["sh"]',
      "",
    ]);
  });

  it("prints what makes two builds differ", async () => {
    const lines = (await run("build0", "build1")).split("\n");
    expect(lines.slice(0, 2).map((line) => line.slice(0, 13))).toEqual(["build build1 ", "beside build0"]);
    expect(lines.slice(3)).toEqual([
      "STEP  TITLE                      DIFFERENCE",
      "1     fromRegistry busybox:1.37  -",
      '2     runCommands two            command changed: "one" → "two"',
      '3     cmd ["sh"]                 -',
      "",
    ]);
  });

  it("prints JSON", async () => {
    expect(JSON.parse(await run("build1", "--json"))).toMatchObject({
      build: { ref: "build1" },
      steps: [{}, { cause: { kind: "arguments", names: ["commands"] } }, {}],
    });
  });

  it("prints no escape sequences that a recipe or a record has", async () => {
    const [build] = await twoBuilds();
    const { build: shown, against, steps } = await explainBuilds(indexOf([build!]));
    const text = renderExplanation({
      against,
      build: { ...shown, name: "\u001b[31mred\u001b[0m" },
      steps: [
        { ...steps[0]!, title: "a\u001b]0;t\u0007\nb", cause: { kind: "forced", text: "x\u001b[2Jy\nz" } },
      ],
    });
    expect(text).not.toContain("\u001b");
    expect(text).toContain("a b");
    expect(text).toContain("xy z");
  });
});

describe("a forecast", () => {
  const forecast: Forecast = {
    daemon: "unix:///one",
    steps: [
      { index: 0, id: "fromRegistry", title: "fromRegistry busybox", expect: "cached", expectedMs: 0 },
      {
        ...{ index: 1, id: "addLocalDir", title: `addLocalDir ${"x".repeat(60)} → /a`, expect: "run" },
        cause: { kind: "files", text: "1 of 2 files changed: a", changed: 1, total: 2, paths: ["a"] },
        expectedMs: 1500,
      },
      {
        ...{ index: 2, id: "runCommands", title: "runCommands true", expect: "run", expectedMs: undefined },
        cause: { kind: "new-step", text: "new step" },
      },
      { index: 3, id: "cmd", title: 'cmd ["sh"]', expect: "config", expectedMs: 0 },
    ],
    ...{ runs: 2, unknown: 1, expectedMs: 1500, bytesToSend: 1234, noop: false },
    trees: [
      { path: "./src", way: "layers", bytes: 1234 },
      { path: "./lib", way: "none", bytes: undefined },
    ],
  };

  it("is a table, and how much that is in all", () => {
    expect(renderForecast(forecast).split("\n")).toEqual([
      "STEP  EXPECT  TIME  TITLE                                             WHY",
      "1     cached        fromRegistry busybox",
      "2     run     1.5s  addLocalDir xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  1 of 2 files changed: a",
      "3     run     ?     runCommands true                                  new step",
      '4     config        cmd ["sh"]',
      "",
      "to send: 1.2 kB (./src as layers 1.2 kB)",
      "2 of 4 steps would run: about 1.5s, and 1 of which nobody knows",
      "",
    ]);
  });

  it.each([
    [
      { bytesToSend: undefined, trees: [{ path: "a", way: "local", bytes: undefined }] },
      "to send: not known (a file by file ?)",
    ],
    [{ bytesToSend: 0 }, "to send: nothing"],
    [{ trees: [], bytesToSend: 0 }, "to send: nothing"],
    [{ runs: 0 }, "no step would run"],
    [{ unknown: 2 }, "2 of 4 steps would run: nobody knows how long"],
    [{ unknown: 0 }, "2 of 4 steps would run: about 1.5s"],
    [{ noop: true }, "nothing would run: what the build makes is there already"],
  ] as const)("with %j says: %s", (change: Partial<Forecast>, line) => {
    expect(renderForecast({ ...forecast, ...change }).split("\n")).toContain(line);
  });
});

it("the summary of a build says why its steps ran, where that is known", async () => {
  const [, build] = await twoBuilds();
  const result: BuildResult = {
    ...build!,
    cache: { cached: 1, ran: 1, steps: build!.steps },
    ...{ exporterResponse: {}, ignoredFailures: [] },
  };
  expect(summary(result).split("\n")).toEqual([
    "built in 0.0s: 1 steps ran, 1 cached",
    '  step 2 runCommands: command changed: "one" → "two"',
    "  nothing was written: add -o to keep the result",
  ]);
  const bare = {
    ...result,
    cache: { ...result.cache, steps: build!.steps.map(({ cause: _, ...step }) => step) },
  };
  expect(summary(bare).split("\n")).toHaveLength(2);
});
