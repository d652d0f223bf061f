import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { processMark } from "../../../../src/internal/process-mark.js";
import { sha256 } from "../../../../src/oci/digest.js";
import { skipUnless } from "../../fsutil/skip-unless.js";
import { bundleModule } from "../../internal/bundle-module.js";
import { inSoak } from "../../internal/long-runs.js";
import { all, testCache } from "./test-cache.js";

const cache = testCache();
const hour = 3_600_000;
const damaged = (): readonly string[] => {
  const dir = cache.file("builds", "../damaged");
  return existsSync(dir) ? readdirSync(dir) : [];
};

describe("records", () => {
  it("come back as they were written, from another opening of the index", async () => {
    const values = [{ a: [1, "ü", null], b: { c: true } }, "text", 0, null, [], { big: "x".repeat(600_000) }];
    for (const [position, value] of values.entries()) {
      await cache.open().write("results", `r-${position}`, value);
      expect(await cache.open().read("results", `r-${position}`)).toEqual(value);
    }
    for (const bytes of [Buffer.alloc(0), Buffer.from([0, 10, 255]), Buffer.alloc(1_000_000, 7)]) {
      await cache.open().writeBytes("trees", "t", bytes);
      expect((await cache.open().readBytes("trees", "t"))?.equals(bytes)).toBe(true);
    }
    expect(readdirSync(cache.file("builds", "../new"))).toEqual([]);
  });

  it("are missing before they are written and after they are removed", async () => {
    const index = cache.open();
    expect(await index.read("files", "k")).toBeUndefined();
    expect(await all(index.list("files"))).toEqual([]);
    expect(existsSync(join(cache.dir, "index"))).toBe(false);
    await index.remove("files", "k");
    await index.write("files", "k", 1);
    await index.remove("files", "k");
    expect(await index.read("files", "k")).toBeUndefined();
    expect(index.problems).toEqual([]);
  });

  it("are JSON or bytes, and not read as the other", async () => {
    const index = cache.open();
    await index.write("trees", "json", { a: 1 });
    await index.writeBytes("trees", "bytes", Buffer.from("{}"));
    expect(await index.readBytes("trees", "json")).toBeUndefined();
    expect(await index.read("trees", "bytes")).toBeUndefined();
    expect(await index.read("trees", "json")).toEqual({ a: 1 });
    expect(damaged()).toEqual([]);
  });

  it("are listed by kind, with size and last use", async () => {
    const index = cache.open();
    await index.write("sources", "one", 1);
    await index.write("sources", "two", "2".repeat(1000));
    await index.write("builds", "three", 3);
    writeFileSync(cache.file("sources", "No.Key"), "");
    utimesSync(cache.file("sources", "one"), 1000, 1000);
    const found = [...(await all(index.list("sources")))].sort((a, b) => (a.key < b.key ? -1 : 1));
    expect(found).toEqual([
      { key: "one", bytes: statSync(cache.file("sources", "one")).size, usedAt: 1_000_000 },
      { key: "two", bytes: expect.any(Number), usedAt: expect.any(Number) },
    ]);
    expect(found[1]!.bytes).toBeGreaterThan(1000);
  });

  it.each(["", "A", "a.b", "../x", "a/b", "x".repeat(81), "ü"])("have no key %j", async (key) => {
    const index = cache.open();
    await expect(index.read("files", key)).rejects.toThrow(TypeError);
    await expect(index.write("files", key, 1)).rejects.toThrow(TypeError);
    await expect(index.remove("files", key)).rejects.toThrow(TypeError);
  });

  it("hold no value that JSON has not", async () => {
    await expect(cache.open().write("files", "k", undefined)).rejects.toThrow(TypeError);
  });

  it("are written although the cache was deleted since the last write", async () => {
    const index = cache.open();
    await index.write("files", "one", 1);
    rmSync(join(cache.dir, "index"), { recursive: true });
    await index.write("files", "two", 2);
    expect(await index.read("files", "two")).toBe(2);
    expect(index.problems).toEqual([]);
  });
});

describe("the time of last use", () => {
  const at = 1_900_000_000_000;
  const used = (kind: "files" | "builds"): number => statSync(cache.file(kind, "k")).mtimeMs;
  const setUsed = (kind: "files" | "builds", ms: number): void =>
    utimesSync(cache.file(kind, "k"), ms / 1000, ms / 1000);

  it.each([
    ["two hours ago", at - 2 * hour, at],
    ["a moment ago", at - 60_000, at - 60_000],
    ["in the future, as the clock was set back", at + 2 * hour, at],
  ])("is that of a read when the former was %s", async (_when, before, after) => {
    const index = cache.open({}, at);
    await index.write("files", "k", 1);
    setUsed("files", before);
    expect(await index.read("files", "k")).toBe(1);
    expect(used("files")).toBe(after);
  });

  it("is that of a look whether it is there, too", async () => {
    const index = cache.open({}, at);
    expect(await index.has("files", "k")).toBe(false);
    await index.write("files", "k", 1);
    setUsed("files", at - 2 * hour);
    expect(await index.has("files", "k")).toBe(true);
    expect(used("files")).toBe(at);
    await index.remove("files", "k");
    mkdirSync(cache.file("files", "k"));
    expect(await index.has("files", "k")).toBe(false);
    expect(await cache.open({ KILN_CACHE: "off" }).has("files", "k")).toBe(false);
  });

  it("of a build is when it was made", async () => {
    const index = cache.open({}, at);
    await index.write("builds", "k", 1);
    setUsed("builds", at - 48 * hour);
    expect(await index.read("builds", "k")).toBe(1);
    expect(used("builds")).toBe(at - 48 * hour);
  });
});

describe("a damaged record", () => {
  const value = { steps: ["a", "b"] };
  async function written(): Promise<Buffer> {
    await cache.open().write("results", "k", value);
    return readFileSync(cache.file("results", "k"));
  }

  it("cut off at any length is set aside, and written anew", async () => {
    const whole = await written();
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(cache.file("results", "k"), whole.subarray(0, length));
      const index = cache.open();
      expect(await index.read("results", "k")).toBeUndefined();
      expect(existsSync(cache.file("results", "k"))).toBe(false);
      expect(index.problems).toEqual([]);
    }
    await cache.open().write("results", "k", value);
    expect(await cache.open().read("results", "k")).toEqual(value);
  });

  it("with any bit flipped is never read", async () => {
    const whole = await written();
    // Here one of every byte.
    for (let bit = 0; bit < whole.length * 8; bit += inSoak(9, 1)) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(cache.file("results", "k"), flipped);
      expect(await cache.open().read("results", "k")).toBeUndefined();
    }
  });

  it("with something behind it, of another key or another kind is never read", async () => {
    const whole = await written();
    writeFileSync(cache.file("results", "k"), Buffer.concat([whole, Buffer.from(" ")]));
    mkdirSync(dirname(cache.file("sources", "k")));
    writeFileSync(cache.file("sources", "k"), whole);
    writeFileSync(cache.file("results", "other"), whole);
    const index = cache.open();
    expect(await index.read("results", "k")).toBeUndefined();
    expect(await index.read("sources", "k")).toBeUndefined();
    expect(await index.read("results", "other")).toBeUndefined();
    expect(
      damaged()
        .map((name) => name.split(".").slice(1, 3).join("."))
        .sort(),
    ).toEqual(["results.k", "results.other", "sources.k"]);
  });

  it("may be a directory, a link or a pipe: it is set aside, by a write too", async () => {
    await written();
    const file = cache.file("results", "k");
    writeFileSync(join(cache.dir, "elsewhere"), readFileSync(file));
    for (const make of [
      () => mkdirSync(join(file, "deep"), { recursive: true }),
      () => symlinkSync(join(cache.dir, "elsewhere"), file),
      () => spawnSync("mkfifo", [file]),
    ]) {
      for (const first of ["read", "write"]) {
        rmSync(file, { recursive: true, force: true });
        make();
        expect(lstatSync(file).isFile()).toBe(false);
        const index = cache.open();
        if (first === "read") expect(await index.read("results", "k")).toBeUndefined();
        await index.write("results", "k", first);
        expect(await index.read("results", "k")).toBe(first);
        expect(index.problems).toEqual([]);
      }
    }
    expect(existsSync(join(cache.dir, "elsewhere"))).toBe(true);
  });

  it("is kept for inspection, twenty of them at most, the newest", async () => {
    for (let time = 1; time <= 25; time += 1) {
      await cache.open().write("results", `k${time}`, time);
      writeFileSync(cache.file("results", `k${time}`), `foreign ${time}`);
      expect(await cache.open({}, time * hour).read("results", `k${time}`)).toBeUndefined();
    }
    expect(damaged().map((name) => name.split(".")[2])).toEqual(
      Array.from({ length: 20 }, (_, position) => `k${position + 6}`),
    );
    const last = damaged().at(-1)!;
    expect(readFileSync(cache.file("builds", `../damaged/${last}`), "utf8")).toBe("foreign 25");
  });

  it("of a later version is left alone, until this Kiln has a record of its own", async () => {
    const index = cache.open();
    await index.write("results", "k", 1);
    writeFileSync(cache.file("results", "k"), "kiln-index 2 whatever\nunknown");
    expect(await index.read("results", "k")).toBeUndefined();
    expect(readFileSync(cache.file("results", "k"), "utf8")).toBe("kiln-index 2 whatever\nunknown");
    expect(damaged()).toEqual([]);
    await index.write("results", "k", 2);
    expect(await index.read("results", "k")).toBe(2);
  });
});

describe("an index that is off", () => {
  it.each(["off", "0", "false", "OFF"])(
    "under KILN_CACHE=%s finds nothing and writes nothing",
    async (off) => {
      await cache.open().write("files", "k", 1);
      const index = cache.open({ KILN_CACHE: off });
      expect(index.enabled).toBe(false);
      expect(await index.read("files", "k")).toBeUndefined();
      expect(await all(index.list("files"))).toEqual([]);
      await index.write("files", "k", 2);
      await index.remove("files", "k");
      await index.autoPrune();
      expect(await index.blobs.has(sha256("x"))).toBe(false);
      await expect(index.blobs.scratch()).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_UNWRITABLE" });
      expect(index.problems).toEqual([]);
      expect(await cache.open().read("files", "k")).toBe(1);
    },
  );

  it.each([[{ KILN_CACHE: "of" }], [{ KILN_CACHE_MAX_BYTES: "much" }], [{ KILN_CACHE_MAX_AGE: "30" }]])(
    "is refused for %j, which means nothing",
    (env) => {
      expect(() => cache.open(env)).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }));
    },
  );

  it("is on otherwise, with bounds that may be set", () => {
    expect(cache.open({ KILN_CACHE: "" })).toMatchObject({
      enabled: true,
      limits: { maxBytes: 5e9, maxAgeMs: 30 * 24 * hour },
    });
    expect(cache.open({ KILN_CACHE_MAX_BYTES: "1GiB", KILN_CACHE_MAX_AGE: "12h" }).limits).toEqual({
      maxBytes: 2 ** 30,
      maxAgeMs: 12 * hour,
    });
  });
});

describe("a cache that cannot be written", () => {
  it("as a file is in its place is noted once, and fails nothing", async () => {
    writeFileSync(join(cache.dir, "index"), "");
    const index = cache.open();
    await index.write("files", "a", 1);
    await index.writeBytes("trees", "b", Buffer.from("x"));
    await index.remove("files", "a");
    await index.autoPrune();
    expect(await index.read("files", "a")).toBeUndefined();
    expect(await all(index.list("files"))).toEqual([]);
    await expect(index.blobs.scratch()).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_UNWRITABLE" });
    expect(index.problems).toMatchObject([
      { code: "ERR_KILN_OUTPUT_UNWRITABLE", message: expect.stringContaining(join(cache.dir, "index")) },
    ]);
  });

  it("as it is another user's is read all the same", async (context) => {
    const index = cache.open();
    await index.write("files", "old", "still read");
    await index.write("files", "hidden", 1);
    const blob = await index.blobs.scratch();
    writeFileSync(blob, "blob");
    await index.blobs.keep(blob, sha256("blob"));
    utimesSync(index.blobs.path(sha256("blob")), 1000, 1000);
    utimesSync(cache.file("files", "old"), 1000, 1000);
    chmodSync(cache.dir, 0o755);
    chmodSync(cache.file("files", "hidden"), 0o000);
    const module = await bundleModule("cache/records/cache-index.ts", cache.dir);
    const script = `
      const { openCacheIndex } = await import(${JSON.stringify(module)});
      const index = openCacheIndex({ cacheDir: ${JSON.stringify(cache.dir)}, env: {} });
      await index.write("files", "new", 1);
      await index.write("files", "old", 1);
      await index.remove("files", "old");
      await index.autoPrune();
      const read = [await index.read("files", "old"), await index.read("files", "hidden")];
      const has = await index.blobs.has(${JSON.stringify(sha256("blob"))});
      console.log(JSON.stringify({ read, has, problems: index.problems.map(({ code }) => code) }));`;
    const args = ["--input-type=module", "-e", script];
    const root = process.getuid?.() === 0;
    if (!root) for (const at of ["", "/files"]) chmodSync(`${index.dir}${at}`, 0o555);
    const run = spawnSync(process.execPath, args, root ? { uid: 65534, gid: 65534 } : {});
    if (!root) for (const at of ["", "/files"]) chmodSync(`${index.dir}${at}`, 0o755);
    skipUnless(context, run.error === undefined, "no process can be started as another user");
    expect(JSON.parse(run.stdout.toString() || run.stderr.toString())).toEqual({
      read: ["still read", null],
      has: true,
      problems: ["ERR_KILN_OUTPUT_UNWRITABLE", "ERR_KILN_FILE_UNREADABLE"],
    });
  });
});

describe("blobs", () => {
  const digest = sha256("content");

  it("are files under the name of their content", async () => {
    const { blobs } = cache.open();
    expect(await blobs.has(digest)).toBe(false);
    const scratch = await blobs.scratch();
    writeFileSync(scratch, "content");
    await blobs.keep(scratch, digest);
    expect(existsSync(scratch)).toBe(false);
    expect(await cache.open().blobs.has(digest)).toBe(true);
    expect(readFileSync(cache.open().blobs.path(digest), "utf8")).toBe("content");
  });

  it("that are empty, or no files, are not there", async () => {
    const { blobs } = cache.open();
    mkdirSync(dirname(blobs.path(digest)), { recursive: true });
    writeFileSync(blobs.path(digest), "");
    expect(await blobs.has(digest)).toBe(false);
    rmSync(blobs.path(digest));
    mkdirSync(blobs.path(digest));
    expect(await blobs.has(digest)).toBe(false);
  });

  it("count as used when they are asked for", async () => {
    const at = 1_900_000_000_000;
    const { blobs } = cache.open({}, at);
    const scratch = await blobs.scratch();
    writeFileSync(scratch, "content");
    await blobs.keep(scratch, digest);
    utimesSync(blobs.path(digest), 1000, 1000);
    expect(await blobs.has(digest)).toBe(true);
    expect(statSync(blobs.path(digest)).mtimeMs).toBe(at);
  });

  it("have a digest for a name, and come from a file that is there", async () => {
    const { blobs } = cache.open();
    expect(() => blobs.path("sha256:../../x")).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_DIGEST" }),
    );
    await expect(blobs.has("x")).rejects.toMatchObject({ code: "ERR_KILN_INVALID_DIGEST" });
    await expect(blobs.keep(join(cache.dir, "none"), digest)).rejects.toMatchObject({
      code: "ERR_KILN_OUTPUT_UNWRITABLE",
    });
  });
});

it("files under way are swept by the first write once their process is no more", async () => {
  const scratch = cache.file("builds", "../new");
  mkdirSync(scratch, { recursive: true });
  const [scope, pid] = processMark().split(".");
  const names = {
    dead: `${scope}.${pid}.1.abc`,
    running: `${processMark()}.abc`,
    foreign: "0123456789ab.1.1.abc",
    old: "0123456789ab.1.1.def",
  };
  for (const name of Object.values(names)) writeFileSync(join(scratch, name), "half");
  utimesSync(join(scratch, names.old), 1000, 1000);
  await cache.open().write("files", "k", 1);
  expect(readdirSync(scratch).sort()).toEqual([names.running, names.foreign].sort());
});
