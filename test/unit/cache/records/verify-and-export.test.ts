import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { exportIndex } from "../../../../src/cache/records/export-index.js";
import { listBuilds } from "../../../../src/cache/records/list-builds.js";
import { verifyIndex } from "../../../../src/cache/records/verify-index.js";
import { processMark } from "../../../../src/internal/process-mark.js";
import { sha256 } from "../../../../src/oci/digest.js";
import { testCache } from "./test-cache.js";

const cache = testCache();

describe("verifying", () => {
  it("finds nothing wrong with what was written, nor with what a later Kiln wrote", async () => {
    const index = cache.open();
    expect(await verifyIndex(index)).toEqual({ checked: 0, bytes: 0, damaged: [], leftovers: 0 });
    await index.write("files", "a", 1);
    await index.writeBytes("trees", "b", Buffer.alloc(300_000));
    writeFileSync(cache.file("files", "later"), "kiln-index 7\n");
    const scratch = await index.blobs.scratch();
    writeFileSync(scratch, "blob");
    await index.blobs.keep(scratch, sha256("blob"));
    const under = await index.blobs.scratch();
    writeFileSync(under, "under way");
    const result = await verifyIndex(index, { repair: true });
    expect(result).toMatchObject({ checked: 4, damaged: [], leftovers: 0 });
    expect(result.bytes).toBeGreaterThan(300_000);
    expect(existsSync(under)).toBe(true);
  });

  it("names what is damaged, and gets it out of the way when asked to", async () => {
    const index = cache.open();
    for (const key of ["cut", "good"]) await index.write("files", key, key);
    writeFileSync(cache.file("files", "cut"), "kiln-index 1 json");
    writeFileSync(cache.file("files", "notes.txt"), "somebody's");
    const blob = index.blobs.path(sha256("blob"));
    mkdirSync(dirname(blob), { recursive: true });
    writeFileSync(blob, "blub");
    writeFileSync(join(index.dir, "trees"), "a file");
    const [scope, pid] = processMark().split(".");
    writeFileSync(join(index.places.scratch, `${scope}.${pid}.1.abc`), "half");
    const found = await verifyIndex(index);
    expect(found.leftovers).toBe(1);
    const problems = found.damaged.map(({ kind, name, problem, repaired }) => [
      kind,
      name,
      problem,
      repaired,
    ]);
    expect(problems.sort()).toEqual([
      ["blobs", sha256("blob").slice(7), "its content has another digest", false],
      ["files", "cut", "it does not begin as a record does", false],
      ["files", "notes.txt", "it has no record's name", false],
      ["trees", "", "it is no directory", false],
    ]);
    expect(existsSync(blob)).toBe(true);

    const repaired = await verifyIndex(index, { repair: true });
    expect(repaired.damaged.map((one) => one.repaired)).toEqual([true, true, true, true]);
    expect(await verifyIndex(index)).toMatchObject({ damaged: [], leftovers: 0 });
    expect(existsSync(blob)).toBe(false);
    expect(readdirSync(index.places.damaged)).toHaveLength(3);
    expect(await index.read("files", "good")).toBe("good");
    await index.write("trees", "k", 1);
    expect(await index.read("trees", "k")).toBe(1);
  });
});

describe("exporting", () => {
  it("writes a line for each record, and reads none of them as used", async () => {
    const index = cache.open();
    await index.write("builds", "b", { ref: "b" });
    await index.writeBytes("trees", "t", Buffer.from([0, 255]));
    await index.write("files", "z", null);
    await index.write("files", "a", 'x"\n');
    writeFileSync(cache.file("files", "damaged"), "?");
    for (const [kind, key] of [
      ["builds", "b"],
      ["trees", "t"],
      ["files", "z"],
      ["files", "a"],
    ] as const) {
      utimesSync(cache.file(kind, key), 1000, 1000);
    }
    for (let turn = 0; turn < 2; turn += 1) {
      const target = new PassThrough();
      const [count, lines] = await Promise.all([
        exportIndex(cache.open({ KILN_CACHE: "off" }), target).finally(() => target.end()),
        text(target),
      ]);
      expect(count).toEqual({ records: 4, skipped: 1 });
      expect(
        lines
          .trimEnd()
          .split("\n")
          .map((line): unknown => JSON.parse(line)),
      ).toEqual([
        { kind: "builds", key: "b", usedAt: 1_000_000, value: { ref: "b" } },
        { kind: "trees", key: "t", usedAt: 1_000_000, bytes: "AP8=" },
        { kind: "files", key: "a", usedAt: 1_000_000, value: 'x"\n' },
        { kind: "files", key: "z", usedAt: 1_000_000, value: null },
      ]);
    }
    expect(existsSync(cache.file("files", "damaged"))).toBe(true);
  });
});

it("builds are listed newest first, without what is no build", async () => {
  const build = (ref: string, startedAt: number) => ({
    ...{ ref, startedAt, name: "image.ts", lineage: "l", outcome: "succeeded", daemon: "unix:///x" },
    ...{ durationMs: 1, sentBytes: 0, steps: [], outputs: [], fingerprints: [] },
  });
  const index = cache.open();
  expect(await listBuilds(index)).toEqual([]);
  for (const [ref, at] of [
    ["b1", 2],
    ["b2", 3],
    ["b3", 1],
  ] as const) {
    await index.write("builds", ref, build(ref, at));
  }
  await index.write("builds", "other", { ref: "other" });
  await index.write("builds", "null", null);
  await index.writeBytes("builds", "bytes", Buffer.from("{}"));
  writeFileSync(cache.file("builds", "damaged"), "?");
  expect((await listBuilds(index)).map(({ ref }) => ref)).toEqual(["b2", "b1", "b3"]);
  rmSync(index.dir, { recursive: true });
});
