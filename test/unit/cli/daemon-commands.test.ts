import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { parseCacheFilter } from "../../../src/cli/cache-filter.js";
import { type Asker, confirm } from "../../../src/cli/confirm.js";
import { describeBuild, historyTable } from "../../../src/cli/describe-build.js";
import { table } from "../../../src/cli/table.js";
import { parseDuration, parseSize } from "../../../src/internal/quantities.js";
import type { HistoryRecord } from "../../../src/solver/index.js";

describe("--filter", () => {
  it.each([
    ["id=abc", { id: "abc" }],
    ["type=regular,mutable=true,shared=0", { type: "regular", mutable: true, shared: false }],
    ["in-use=true,parent=x", { inUse: true, parent: "x" }],
    ["type=regular,description=a, b=c", { type: "regular", description: "a, b=c" }],
    ["", {}],
  ])("%s", (given, expected) => {
    expect(parseCacheFilter(given)).toEqual(expected);
  });

  it.each([
    ["name=x", 'no key "name"'],
    ["=x", 'no key "=x"'],
    ["mutable", "true or false"],
    ["mutable=maybe", "true or false"],
    ["id=a,id=b", "given twice"],
  ])("refuses %s", (given, why) => {
    expect(() => parseCacheFilter(given)).toThrow(why);
  });
});

it("reads durations and sizes", () => {
  expect(["90s", "1h30m", "1.5h", "7d"].map((value) => parseDuration("--keep", value))).toEqual([
    90_000, 5_400_000, 5_400_000, 604_800_000,
  ]);
  expect(["1000", "500MB", "2GiB", "1.5 kB", "3k", "0"].map((value) => parseSize("--x", value))).toEqual([
    1000,
    500e6,
    2 * 2 ** 30,
    1500,
    3000,
    0,
  ]);
  for (const wrong of ["", "5", "h", "5 h", "-5s", "5w"]) {
    expect(() => parseDuration("--keep", wrong)).toThrow("not a duration");
  }
  for (const wrong of ["", "MB", "-1", "5 parsecs", "1e3"]) {
    expect(() => parseSize("--x", wrong)).toThrow("not a size");
  }
});

it("aligns tables by what is seen, and cleans what a daemon says", () => {
  expect(
    table(
      ["A", "BB"],
      [
        ["日本", "x"],
        ["\u001b[31mc\nd", "y"],
      ],
    ),
  ).toBe("A     BB\n日本  x\nc d   y\n");
});

describe("a confirmation", () => {
  const asker = (isTTY: boolean): Asker & { readonly input: PassThrough; readonly output: PassThrough } => ({
    input: Object.assign(new PassThrough(), { isTTY }),
    output: Object.assign(new PassThrough(), { isTTY }),
  });
  const signal = new AbortController().signal;

  it.each([
    ["y\n", true],
    [" YES \n", true],
    ["\n", false],
    ["n\n", false],
    ["yeah\n", false],
  ])("takes %j for %s", async (answer, expected) => {
    const who = asker(true);
    const asked = confirm("Sure?", { signal, asker: who });
    who.input.write(answer);
    expect(await asked).toBe(expected);
    who.output.end();
    expect(await text(who.output)).toContain("Sure? [y/N] ");
  });

  it("takes the end of input for a no", async () => {
    const who = asker(true);
    who.input.end();
    expect(await confirm("Sure?", { signal, asker: who })).toBe(false);
  });

  it("ends with the signal's reason, and is refused where nobody can be asked", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    const asked = confirm("Sure?", { signal: stop.signal, asker: asker(true) });
    stop.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(confirm("Sure?", { signal, asker: asker(false) })).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      hint: "Add --force if you mean it.",
    });
  });
});

describe("a build of the history", () => {
  const blob = { mediaType: "application/x", digest: "sha256:d", size: 1500, annotations: {} };
  const record: HistoryRecord = {
    ref: "ref",
    state: "complete",
    frontend: "",
    frontendAttrs: { b: "2", a: "1\u001b[31m" },
    exporters: ["image", "local"],
    exporterResponse: {},
    createdAt: new Date("2026-01-02T03:04:05.678Z"),
    completedAt: new Date("2026-01-02T03:04:15.678Z"),
    error: undefined,
    pinned: true,
    steps: { total: 5, cached: 2, completed: 5 },
    warnings: 1,
    logs: blob,
    trace: undefined,
    externalError: undefined,
    results: [{ exporter: 0, blob }],
    attestations: [{ predicateType: "slsa", platform: "linux/arm64", from: "image", blob }],
  };

  it("is a line of a table", () => {
    expect(historyTable([record]).split("\n")[1]).toBe(
      "ref  done, pinned  5 (2 cached)  2026-01-02T03:04:05  10.0s  image,local",
    );
    const failed = { ...record, error: { message: "x", status: "UNKNOWN" }, pinned: false };
    expect(historyTable([failed])).toContain("ref  failed  ");
    expect(historyTable([{ ...failed, error: { message: "x", status: "CANCELLED" } }])).toContain(
      "cancelled",
    );
    const running = { ...record, state: "running", completedAt: undefined, exporters: [] } as const;
    expect(historyTable([running])).toContain("running, pinned  5 (2 cached)  2026-01-02T03:04:05  -     -");
  });

  it("is described fact by fact", () => {
    expect(describeBuild(record).split("\n")).toEqual([
      "build ref",
      "  state      done",
      "  pinned     yes",
      "  frontend   none (LLB)",
      "  created    2026-01-02T03:04:05.678Z",
      "  took       10.0s",
      "  steps      5 (2 cached)",
      "  warnings   1",
      "  attribute  a=1",
      "  attribute  b=2",
      "  output 0   image",
      "  output 1   local",
      "  log        sha256:d 1.5 kB application/x",
      "  result 0   sha256:d 1.5 kB application/x",
      "  of image   sha256:d 1.5 kB slsa linux/arm64",
      "",
    ]);
  });
});
