import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type CacheIndex, openCacheIndex } from "../../../src/cache/records/cache-index.js";
import { main } from "../../../src/cli/program.js";
import type { StoredBuild } from "../../../src/model/build-record.js";

let dir: string;
let index: CacheIndex;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cache-"));
  vi.stubEnv("KILN_CACHE_DIR", dir);
  index = openCacheIndex({ cacheDir: dir, env: {} });
});
afterEach(() => {
  vi.unstubAllEnvs();
  process.exitCode = undefined;
  rmSync(dir, { recursive: true, force: true });
});

/** Runs `kiln cache …` in this process. */
async function kiln(...args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
  try {
    process.exitCode = undefined;
    const code = await main(["node", "kiln", "cache", ...args]);
    return { code, out: out.join(""), err: err.join("") };
  } finally {
    process.exitCode = undefined;
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

function build(ref: string, more: Partial<StoredBuild> = {}): StoredBuild {
  return {
    ...{ ref, platform: { os: "linux", architecture: "amd64" }, daemon: "unix:///run/x", digest: undefined },
    ...{ outputs: [], steps: [], startedAt: Date.UTC(2026, 0, 2), durationMs: 61_000, outcome: "succeeded" },
    ...{ verified: false, lineage: "l", name: "image.ts#default", fingerprints: [], sentBytes: 0 },
    ...more,
  };
}

describe("kiln cache ls", () => {
  it("lists builds, newest first", async () => {
    const step = { index: 0, id: "env", title: "env", durationMs: 1 };
    await index.write("builds", "one", build("one"));
    await index.write(
      "builds",
      "two",
      build("two", {
        ...{ startedAt: Date.UTC(2026, 0, 3), outcome: "failed", durationMs: 100 },
        outputs: [{ type: "registry", target: "registry.example/a:1", digest: undefined }],
        steps: [
          { ...step, outcome: "cached" },
          { ...step, outcome: "ran" },
          { ...step, outcome: "failed" },
          { ...step, outcome: "config" },
        ],
      }),
    );
    await index.write("builds", "three", build("three", { startedAt: 0, verified: true }));
    const { code, out } = await kiln("ls");
    expect(code).toBe(0);
    expect(out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["REF", "STARTED", "OUTCOME", "TOOK", "STEPS", "NAME", "OUTPUTS"],
      ...[
        ["two", "2026-01-03T00:00:00", "failed", "0.1s", "2 ran, 1 cached"],
        ["one", "2026-01-02T00:00:00", "succeeded", "1m01s", "0 ran, 0 cached"],
        ["three", "1970-01-01T00:00:00", "up to date", "1m01s", "0 ran, 0 cached"],
      ].map((cells, row) => [
        ...cells,
        "image.ts#default",
        row === 0 ? "registry:registry.example/a:1" : "-",
      ]),
      [""],
    ]);
    const limited: unknown = JSON.parse((await kiln("ls", "--json", "--limit", "1")).out);
    expect(limited).toMatchObject([{ ref: "two", outcome: "failed" }]);
  });

  it("refuses a limit that is none", async () => {
    expect(await kiln("ls", "--limit", "none")).toMatchObject({ code: 2 });
  });
});

describe("kiln cache du", () => {
  it("sums by kind, and says what may stay", async () => {
    expect((await kiln("du")).out).toContain(
      "0 B in 0 records; kept are 5.0 GB of what was used within 30 days",
    );
    await index.write("files", "a", 1);
    vi.stubEnv("KILN_CACHE_MAX_AGE", "90m");
    const { out } = await kiln("du");
    expect(out).toMatch(/^files +1 +\d+ B +20\d\d-/m);
    expect(out).toContain("within 1.5 hours");
    const json: unknown = JSON.parse((await kiln("du", "--json")).out);
    expect(json).toMatchObject({
      dir: index.dir,
      kinds: [{ kind: "files", records: 1 }],
      limits: { maxAgeMs: 5_400_000 },
    });
  });
});

describe("kiln cache prune", () => {
  const file = (key: string): string => join(index.dir, "files", key);
  beforeEach(async () => {
    for (const key of ["old", "young"]) await index.write("files", key, key);
    utimesSync(file("old"), 1000, 1000);
  });
  const left = (): readonly boolean[] => ["old", "young"].map((key) => existsSync(file(key)));

  it("asks first; without a terminal it wants --force", async () => {
    expect(await kiln("prune")).toMatchObject({ code: 2, err: expect.stringContaining("--force") });
    expect(left()).toEqual([true, true]);
  });

  it("says what would go, and removes what is beyond bounds", async () => {
    const dry = await kiln("prune", "--dry-run");
    expect(dry.out).toMatch(/^files +1 /m);
    expect(dry.err).toContain("would be freed, 1 record to remove");
    expect(left()).toEqual([true, true]);
    expect((await kiln("prune", "--force")).err).toMatch(/^\d+ B freed, 1 record removed\n$/);
    expect(left()).toEqual([false, true]);
  });

  it("takes bounds, or all", async () => {
    const { out } = await kiln("prune", "--force", "--json", "--max-age", "99999d", "--max-bytes", "150");
    expect(JSON.parse(out)).toMatchObject({ removed: [{ kind: "files", records: 1 }], dryRun: false });
    expect(left()).toEqual([false, true]);
    await kiln("prune", "--force", "--all");
    expect(left()).toEqual([false, false]);
  });

  it.each([
    ["--max-age", "long"],
    ["--max-bytes", "much"],
    ["--all", "--max-bytes", "1"],
  ])("refuses %s %s", async (...args) => {
    expect(await kiln("prune", "--force", ...args)).toMatchObject({ code: 2 });
    expect(left()).toEqual([true, true]);
  });
});

describe("kiln cache verify", () => {
  it("exits with 1 while there is damage", async () => {
    await index.write("files", "a", 1);
    expect(await kiln("verify")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/1 record, .*: no damage\n/),
    });
    writeFileSync(join(index.dir, "files", "a"), "?");
    const found = await kiln("verify");
    expect(found).toMatchObject({ code: 1 });
    expect(found.out).toContain(`${join(index.dir, "files", "a")}: it does not begin as a record does\n`);
    const repaired = await kiln("verify", "--repair", "--json");
    expect(repaired.code).toBe(0);
    expect(JSON.parse(repaired.out)).toMatchObject({
      damaged: [{ name: "a", repaired: true }],
      repair: true,
    });
    expect(await kiln("verify")).toMatchObject({ code: 0 });
  });
});

describe("kiln cache export", () => {
  it("writes lines of JSON to a file", async () => {
    await index.write("files", "a", { b: 1 });
    const target = join(dir, "out.jsonl");
    expect((await kiln("export", "-o", target)).err).toBe("exported 1 record\n");
    expect(JSON.parse(readFileSync(target, "utf8"))).toMatchObject({
      kind: "files",
      key: "a",
      value: { b: 1 },
    });
    expect(JSON.parse((await kiln("export", "-o", target, "--json")).out)).toEqual({
      records: 1,
      skipped: 0,
    });
  });

  it("refuses a file that cannot be written, and two results on standard output", async () => {
    expect(await kiln("export", "-o", join(dir, "none", "out"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("cannot write"),
    });
    expect(await kiln("export", "--json")).toMatchObject({ code: 2 });
  });
});
