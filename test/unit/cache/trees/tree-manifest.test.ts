import { chmodSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type DiffManifestsOptions,
  diffManifests,
  type ManifestDiff,
} from "../../../../src/cache/trees/diff-manifests.js";
import { samePathsDiff } from "../../../../src/cache/trees/same-paths.js";
import { scanTree } from "../../../../src/cache/trees/scan-tree.js";
import {
  decodeManifest,
  encodeManifest,
  type TreeManifest,
} from "../../../../src/cache/trees/tree-manifest.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";
import { later, MemoryStore } from "./memory-store.js";

const index = new MemoryStore();

async function manifestOf(root: string): Promise<TreeManifest> {
  return (await scanTree({ kind: "dir", root }, { index, key: "k", now: later })).manifest;
}

const rich = {
  "a/x": "content",
  "a/empty": "",
  "a-b": { link: "a/x" },
  "d/e/f/g": { file: "deep", mode: 0o755 },
  link: { symlink: "a/x" },
  "ünïcode/😀": "smile",
} as const;

describe("a manifest", () => {
  test("is the same wherever the tree lies, and another for each kind of change", async () => {
    const digests = new Set<string>();
    const root = temporaryTree(rich);
    expect((await manifestOf(root)).digest).toBe((await manifestOf(temporaryTree(rich))).digest);
    const changes: readonly (() => void)[] = [
      () => {},
      () => writeFileSync(join(root, "a/empty"), "1"),
      () => chmodSync(join(root, "a/empty"), 0o600),
      () => renameSync(join(root, "a/empty"), join(root, "a/void")),
      () => {
        unlinkSync(join(root, "link"));
        symlinkSync("a/y", join(root, "link"));
      },
      () => chmodSync(join(root, "d"), 0o700),
      () => {
        unlinkSync(join(root, "a-b"));
        writeFileSync(join(root, "a-b"), "content");
      },
      () => rmSync(join(root, "d/e"), { recursive: true }),
    ];
    for (const change of changes) {
      change();
      digests.add((await manifestOf(root)).digest);
    }
    expect(digests.size).toBe(changes.length);
  });

  test("is read back as it was written", async () => {
    const manifest = await manifestOf(temporaryTree(rich));
    const bytes = Buffer.concat([Buffer.alloc(3), encodeManifest(manifest)]).subarray(3);
    const read = decodeManifest(bytes);
    expect([...(read?.entries() ?? [])]).toEqual([...manifest.entries()]);
    expect(read).toMatchObject({ digest: manifest.digest, count: 11, files: 5, bytes: 16 });
    expect(decodeManifest(bytes.subarray(1))).toBeUndefined();
    expect(decodeManifest(new Uint8Array())).toBeUndefined();
    const newer = Buffer.from(bytes);
    newer.writeUInt32LE(3, 8);
    expect(decodeManifest(newer)).toBeUndefined();
  });

  test("finds paths, their content's digest, names and links", async () => {
    const manifest = await manifestOf(temporaryTree(rich));
    for (const { path, sha256 } of manifest.entries()) {
      expect(manifest.contentDigest(path)).toBe(sha256 === "" ? undefined : sha256);
      expect(manifest.find(path)).toBeDefined();
    }
    for (const path of ["", "a/", "/a", "a/x/y", "none", "d/e/f/g/h", "A", "zz"]) {
      expect([path, manifest.contentDigest(path)]).toEqual([path, undefined]);
    }
    expect(manifest.namesIn("")).toEqual(["a", "a-b", "d", "link", "ünïcode"]);
    expect(manifest.namesIn("a")).toEqual(["empty", "x"]);
    expect(manifest.namesIn("a/x")).toEqual([]);
    expect(manifest.readLink("link")).toBe("a/x");
    expect(manifest.readLink("a")).toBeUndefined();
  });
});

describe("two manifests", () => {
  async function compare(
    before: Parameters<typeof temporaryTree>[0],
    change: (root: string) => void,
    options?: DiffManifestsOptions,
  ) {
    const root = temporaryTree(before);
    const first = await manifestOf(root);
    change(root);
    return await diffManifests(first, await manifestOf(root), options);
  }

  test("that are equal have no differences", async () => {
    expect(await compare(rich, () => {})).toEqual({
      ...{ added: [], removed: [], changed: [], renamed: [], total: 0 },
    });
  });

  test("differ in what was added, removed and changed, and how", async () => {
    const before = {
      ...{ gone: "gone", "was-dir/x": "inside", mode: "m", content: "c", both: "b", "z/last": "z" },
      ...{ link: { symlink: "one" }, linked: { link: "both" } },
    } as const;
    const diff = await compare(before, (root) => {
      rmSync(join(root, "gone"));
      rmSync(join(root, "was-dir"), { recursive: true });
      writeFileSync(join(root, "was-dir"), "now a file");
      chmodSync(join(root, "mode"), 0o755);
      writeFileSync(join(root, "content"), "C");
      rmSync(join(root, "linked"));
      writeFileSync(join(root, "linked"), "b");
      chmodSync(join(root, "both"), 0o600);
      writeFileSync(join(root, "both"), "B");
      unlinkSync(join(root, "link"));
      symlinkSync("two", join(root, "link"));
      writeFileSync(join(root, "new"), "new");
    });
    expect(diff).toEqual({
      added: ["new"],
      removed: ["gone", "was-dir/x"],
      changed: [
        { path: "both", what: ["content", "mode"] },
        { path: "content", what: ["content"] },
        { path: "link", what: ["link"] },
        { path: "linked", what: ["link"] },
        { path: "mode", what: ["mode"] },
        { path: "was-dir", what: ["kind"] },
      ],
      renamed: [],
      total: 9,
    });
  });

  test("know files that only have another path, once each", async () => {
    const before = { "old/a": "one", "old/b": "two", c: "same", d: "same", e: "", gone: "gone" };
    const diff = await compare(before, (root) => {
      renameSync(join(root, "old"), join(root, "new"));
      for (const name of ["d", "e", "gone"]) rmSync(join(root, name));
      for (const name of ["f", "g"]) writeFileSync(join(root, name), "same");
      writeFileSync(join(root, "h"), "");
    });
    expect(diff).toEqual({
      renamed: [
        { from: "d", to: "f" },
        { from: "old/a", to: "new/a" },
        { from: "old/b", to: "new/b" },
      ],
      added: ["g", "h", "new"],
      removed: ["e", "gone", "old"],
      changed: [],
      total: 9,
    });
  });

  test("are compared whole though the lists are cut", async () => {
    const names = Array.from({ length: 20 }, (_, n) => `f${n}`);
    const before = Object.fromEntries(names.map((name) => [name, name]));
    const diff = await compare(
      before,
      (root) => {
        for (const name of names) writeFileSync(join(root, name), `${name} changed`);
        for (const name of names) writeFileSync(join(root, `new-${name}`), "");
      },
      { limit: 3 },
    );
    expect([diff.changed.length, diff.added.length, diff.total]).toEqual([3, 3, 40]);
  });

  // Trees of the same paths are compared column by column, all others path by path.
  test.each([
    ["as on disk", {}],
    ["with usual modes", { permissions: "normalize" }],
    ["with owners and times", { ownership: "keep", times: "keep" }],
  ] as const)("differ in the same, whatever else does: %s", async (_name, view) => {
    const names = Array.from({ length: 300 }, (_, n) => `d${n % 7}/e${n % 3}/f${n}`);
    const root = temporaryTree({
      ...Object.fromEntries(names.map((name) => [name, name])),
      ...{ "l/one": { symlink: "a" }, "l/two": { symlink: "b" }, "l/was": { symlink: "c" } },
      ...{ "h/first": "linked", "h/second": { link: "h/first" }, "h/third": "own", "d-empty": "" },
    });
    const scan = async (): Promise<TreeManifest> =>
      (
        await scanTree(
          { kind: "dir", root, ...view },
          { index, key: `k ${JSON.stringify(view)}`, now: later },
        )
      ).manifest;
    const first = await scan();
    for (const name of names.filter((_, n) => n % 41 === 0)) writeFileSync(join(root, name), `${name}!`);
    for (const name of names.filter((_, n) => n % 67 === 1)) chmodSync(join(root, name), 0o751);
    for (const name of names.filter((_, n) => n % 59 === 2)) utimesSync(join(root, name), 1, 1);
    chmodSync(join(root, "d3"), 0o700);
    for (const [link, target] of [
      ["l/one", "longer"],
      ["l/two", "b"],
    ] as const) {
      unlinkSync(join(root, link));
      symlinkSync(target, join(root, link));
    }
    unlinkSync(join(root, "l/was"));
    writeFileSync(join(root, "l/was"), "now a file");
    writeFileSync(join(root, "h/first"), "both changed");
    const second = await scan();
    const same = await diffManifests(first, second);
    expect(samePathsDiff(first.stored, second.stored)).toEqual(same.changed);
    expect(same).toMatchObject({ added: [], removed: [], renamed: [], total: same.changed.length });
    expect(same.changed.length).toBeGreaterThan(10);
    expect(same.changed).toContainEqual({ path: "l/was", what: ["kind"] });
    expect(same.changed.map(({ path }) => path)).toEqual(expect.arrayContaining(["h/first", "l/one"]));
    writeFileSync(join(root, "l/zz"), "new");
    const third = await scan();
    expect(samePathsDiff(first.stored, third.stored)).toBeUndefined();
    const other = await diffManifests(first, third);
    expect(other.added).toEqual(["l/zz"]);
    // The directory's own time goes with what is in it.
    const without = ({ changed }: ManifestDiff) => changed.filter(({ path }) => path !== "l");
    expect(without(other)).toEqual(without(same));
    // No longer one file: what leads where is told path by path.
    unlinkSync(join(root, "h/second"));
    writeFileSync(join(root, "h/second"), "both changed");
    unlinkSync(join(root, "l/zz"));
    const fourth = await scan();
    expect(samePathsDiff(first.stored, fourth.stored)).toBeUndefined();
    expect((await diffManifests(first, fourth)).changed.map(({ path }) => path)).toContain("h/second");
  });
});
