import { chmodSync, chownSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PatternMatcher } from "../../../src/fsutil/pattern-matcher.js";
import { openTree } from "../../../src/fsutil/tree.js";
import { TreeFilter, type TreeFilterOptions, type WalkEntry } from "../../../src/fsutil/tree-filter.js";
import { inSoak } from "../internal/long-runs.js";
import { paths } from "./listing.js";
import { temporaryTree } from "./temporary-tree.js";

/** Every path of three names over three letters: directories, and files at the third level. */
const world: readonly WalkEntry[] = ["a", "b", "c"].flatMap((x) => [
  { path: x, isDirectory: true },
  ...["a", "b", "c"].flatMap((y) => [
    { path: `${x}/${y}`, isDirectory: true },
    ...["a", "b", "c"].map((z) => ({ path: `${x}/${y}/${z}`, isDirectory: false })),
  ]),
]);

function walkWorld(filters: readonly TreeFilterOptions[]) {
  const visited: string[] = [];
  const kept: string[] = [];
  let visit = (entry: WalkEntry): boolean => {
    kept.push(entry.path);
    return false;
  };
  for (const { include = [], exclude = [] } of [...filters].reverse()) {
    visit = new TreeFilter(include, exclude).before(visit);
  }
  let pruned = "\0";
  for (const entry of world) {
    if (entry.path.startsWith(pruned)) continue;
    visited.push(entry.path);
    if (visit(entry) && entry.isDirectory) pruned = `${entry.path}/`;
  }
  return { kept, visited };
}

const cases: readonly (readonly [title: string, filter: TreeFilterOptions, kept: readonly string[]])[] = [
  ["an included file comes with the directories above it", { include: ["a/b/c"] }, ["a", "a/b", "a/b/c"]],
  [
    "an included directory comes with what is inside",
    { include: ["b/c"] },
    ["b", "b/c", "b/c/a", "b/c/b", "b/c/c"],
  ],
  [
    "an include with a wildcard finds matches at any depth",
    { include: ["*/b/a"] },
    ["a", "a/b", "a/b/a", "b", "b/b", "b/b/a", "c", "c/b", "c/b/a"],
  ],
  [
    "an exclude wins over an include",
    { include: ["a/b"], exclude: ["a/b/b"] },
    ["a", "a/b", "a/b/a", "a/b/c"],
  ],
  [
    "an exception brings back a file with the directories above it",
    { exclude: ["**", "!c/a/b"] },
    ["c", "c/a", "c/a/b"],
  ],
  ["an include without a match sends nothing", { include: ["nowhere"] }, []],
  [
    "an include that takes back its own",
    { include: ["a", "!a/b", "!a/c"] },
    ["a", "a/a", "a/a/a", "a/a/b", "a/a/c"],
  ],
];

test.each(cases)("%s", (_title, filter, kept) => {
  expect(walkWorld([filter]).kept).toEqual(kept);
});

describe("directories that are not walked", () => {
  const looked: readonly (readonly [title: string, filter: TreeFilterOptions, visited: readonly string[]])[] =
    [
      ["an excluded one", { exclude: ["a", "b/a", "b/b", "c"] }, ["a", "b", "b/a", "b/b", "b/c", "c"]],
      ["one that no plain include leads into", { include: ["b/b/**"] }, ["a", "b", "b/a", "b/b", "b/c", "c"]],
      [
        "an excluded one that no plain exception leads into",
        { exclude: ["*", "!b/c/a"] },
        ["a", "b", "b/a", "b/b", "b/c", "c"],
      ],
    ];
  test.each(looked)("%s", (_title, filter, visited) => {
    expect(walkWorld([filter]).visited.filter((path) => path.split("/").length < 3)).toEqual(visited);
  });

  test("only without an exception that has a wildcard", () => {
    expect(walkWorld([{ exclude: ["*", "!**/nothing"] }]).visited).toEqual(world.map(({ path }) => path));
  });
});

const name = fc.constantFrom("a", "b", "c", "*", "**", "?", "[ab]");
const pattern = fc
  .tuple(fc.boolean(), fc.array(name, { minLength: 1, maxLength: 3 }))
  .map(([exception, names]) => `${exception ? "!" : ""}${names.join("/")}`);
const patterns = fc.array(pattern, { minLength: 1, maxLength: 4 });

test("an excluding walk keeps exactly what matches nothing, and the directories above", () => {
  fc.assert(
    fc.property(patterns, (exclude) => {
      const ignored = matchesOf(exclude);
      const kept = world.filter(({ path }) => !ignored.has(path));
      expect(walkWorld([{ exclude }]).kept).toEqual(withParents(kept));
    }),
    { numRuns: inSoak(400, 1000), seed: 7 },
  );
});

test("an including walk keeps exactly what matches, and the directories above", () => {
  fc.assert(
    fc.property(patterns, (include) => {
      const wanted = matchesOf(include);
      const kept = world.filter(({ path }) => wanted.has(path));
      expect(walkWorld([{ include }]).kept).toEqual(withParents(kept));
    }),
    { numRuns: inSoak(400, 1000), seed: 7 },
  );
});

test("a second filter sees only what passes the first", () => {
  fc.assert(
    fc.property(patterns, patterns, (first, second) => {
      const before = new Set(walkWorld([{ exclude: first }]).kept);
      const wanted = matchesOf(second);
      const kept = world.filter(({ path }) => before.has(path) && wanted.has(path));
      expect(walkWorld([{ exclude: first }, { include: second }]).kept).toEqual(withParents(kept));
    }),
    { numRuns: inSoak(200, 500), seed: 7 },
  );
});

/** What matches when every directory is walked. */
function matchesOf(list: readonly string[]): ReadonlySet<string> {
  const matcher = new PatternMatcher(list);
  const records = new Map<string, Uint8Array>();
  const matched = world.filter(({ path }) => {
    const record = matcher.newRecord();
    records.set(path, record);
    return matcher.matchesInside(
      path,
      records.get(path.slice(0, Math.max(path.lastIndexOf("/"), 0))),
      record,
    );
  });
  return new Set(matched.map(({ path }) => path));
}

function withParents(entries: readonly WalkEntry[]): readonly string[] {
  const wanted = new Set(
    entries.flatMap(({ path }) =>
      path.split("/").map((_, index, names) => names.slice(0, index + 1).join("/")),
    ),
  );
  return world.map(({ path }) => path).filter((path) => wanted.has(path));
}

test("narrowing a tree twice applies both", async () => {
  const root = temporaryTree({ "a/x.ts": "", "a/x.js": "", "b/y.ts": "", "c.ts": "" });
  const tree = openTree({ root, exclude: ["b"] });
  expect(await paths(tree.narrow({ include: ["**/*.ts"] }).narrow({ exclude: ["c.ts"] }))).toEqual([
    "a/",
    "a/x.ts",
  ]);
  expect(await paths(tree)).toEqual(["a/", "a/x.js", "a/x.ts", "c.ts"]);
});

test("narrowing by nothing gives the same tree", () => {
  const tree = openTree({ root: temporaryTree({}) });
  expect(tree.narrow({ include: [], exclude: [], followPaths: [] })).toBe(tree);
});

test("a directory that may not be read is an error unless it is skipped", async () => {
  const root = temporaryTree({ "shut/a": "", b: "" });
  chmodSync(join(root, "shut"), 0o000);
  await withoutRoot(root, async () => {
    await expect(paths(openTree({ root }))).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
    expect(await paths(openTree({ root, exclude: ["shut", "!**/x"] }))).toEqual(["b"]);
  });
  chmodSync(join(root, "shut"), 0o755);
});

/** Runs `work` as a user who is not root and owns `directory`: root may read everything. */
async function withoutRoot(directory: string, work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) {
    await work();
    return;
  }
  const nobody = 65_534;
  chownSync(directory, nobody, nobody);
  process.seteuid?.(nobody);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}
