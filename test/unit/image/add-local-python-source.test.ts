import { describe, expect, it } from "vitest";
import { PatternMatcher } from "../../../src/fsutil/pattern-matcher.js";
import { FilePatternMatcher } from "../../../src/image/file-pattern-matcher.js";
import { Image } from "../../../src/image/image.js";
import { actionsOf, type LocalFiles, needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const base = Image.fromRegistry("python");
const copy = { copy: true } as const;

/** Where the trees of a chain come from, and go to. */
function copies(image: Image, local: LocalFiles) {
  const { needs } = needsWith(image, local);
  const targets = actionsOf(planOf(image, local)).flatMap((action) =>
    action.case === "copy" ? [action.value.dest] : [],
  );
  return needs.trees.map(({ kind, path }, index) => [kind, path, targets[index]]);
}

it.each([
  ["a package", ["app"], { "app/__init__.py": "", "app/x.py": "" }, [["dir", "app", "/root/app"]]],
  ["a module", ["app"], { "app.py": "" }, [["file", "app.py", "/root/app.py"]]],
  [
    "a package before a module",
    ["app"],
    { "app.py": "", "app/__init__.py": "" },
    [["dir", "app", "/root/app"]],
  ],
  [
    "a module before a namespace",
    ["app"],
    { "app/x.py": "", "app.py": "" },
    [["file", "app.py", "/root/app.py"]],
  ],
  ["a namespace", ["app"], { "app/x/y.py": "" }, [["dir", "app", "/root/app"]]],
  ["what is in src", ["app"], { "src/app/__init__.py": "" }, [["dir", "src/app", "/root/app"]]],
  [
    "a package in src before a namespace",
    ["app"],
    { "app/x.py": "", "src/app/__init__.py": "" },
    [["dir", "src/app", "/root/app"]],
  ],
  [
    "all parts of a namespace",
    ["app"],
    { "app/x.py": "", "src/app/y.py": "" },
    [
      ["dir", "app", "/root/app"],
      ["dir", "src/app", "/root/app"],
    ],
  ],
  ["a dotted name", ["a.b.c"], { "a/b/c/__init__.py": "" }, [["dir", "a/b/c", "/root/a/b/c"]]],
  ["a dotted module", ["a.b"], { "a/b.py": "" }, [["file", "a/b.py", "/root/a/b.py"]]],
  [
    "several, once each",
    ["app", "lib", "app"],
    { "app.py": "", "src/lib/__init__.py": "" },
    [
      ["file", "app.py", "/root/app.py"],
      ["dir", "src/lib", "/root/lib"],
    ],
  ],
])("finds %s", (_title, modules, local: LocalFiles, expected) => {
  expect(copies(base.addLocalPythonSource(modules, copy), local)).toEqual(expected);
});

it("looks where it is told to", () => {
  const image = base.addLocalPythonSource("app", { copy: true, searchPaths: ["../shared", "py"] });
  expect(copies(image, { "app.py": "", "py/app.py": "" })).toEqual([["file", "py/app.py", "/root/app.py"]]);
});

it.each([
  [
    "nowhere",
    ["a.b"],
    { "a/__init__.py": "", "b.py": "" },
    "ERR_KILN_FILE_NOT_FOUND",
    "tried a/b/__init__.py, a/b.py, a/b/, src/a/b/__init__.py, src/a/b.py, src/a/b/",
  ],
  [
    "hidden directories alone",
    ["app"],
    { "app/.venv/x.py": "", "app/__pycache__/y.py": "" },
    "ERR_KILN_FILE_NOT_FOUND",
    "no local Python module app",
  ],
  [
    "compiled modules",
    ["app"],
    { "app/__init__.py": "", "app/fast.so": "" },
    "ERR_KILN_UNSUPPORTED",
    "app/fast.so",
  ],
])(
  "refuses what is in %s, with the place of the call",
  (_title, modules, local: LocalFiles, code, message) => {
    expect(thrown(() => needsWith(base.addLocalPythonSource(modules, copy), local))).toMatchObject({
      code,
      message: expect.stringContaining(message),
      location: { file: import.meta.filename },
    });
  },
);

describe("of a package", () => {
  const local = { "app/__init__.py": "", "app/fast.so": "" };
  const treeOf = (image: Image, files: LocalFiles = { "app/__init__.py": "" }) =>
    needsWith(image, files).needs.trees[0];

  it.each([
    ["x.py", true],
    ["sub/deep/x.py", true],
    ["data.json", false],
    ["sub/data.json", false],
    [".hidden.py", false],
    [".venv/lib/x.py", false],
    ["sub/.git/x.py", false],
    ["__pycache__/x.py", false],
    ["sub/__pycache__/x.py", false],
  ])("%s is taken: %s", (path, taken) => {
    const matcher = new PatternMatcher(treeOf(base.addLocalPythonSource("app", copy))?.ignore ?? []);
    // As a walk asks, which knows how the directories above fared.
    let parent: Uint8Array | undefined;
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth += 1) {
      const record = matcher.newRecord();
      matcher.matchesInside(parts.slice(0, depth).join("/"), parent, record);
      parent = record;
    }
    expect(matcher.matchesInside(path, parent)).toBe(!taken);
  });

  it("other files are taken by another ignore", () => {
    const tree = (ignore: string | readonly string[] | FilePatternMatcher) =>
      treeOf(base.addLocalPythonSource("app", { copy: true, ignore }), local);
    expect(tree([])).toMatchObject({ ignore: [], ignoreFiles: [] });
    expect(tree("tests")).toMatchObject({ ignore: ["tests"] });
    expect(tree(FilePatternMatcher.fromFile(".ignore"))).toMatchObject({ ignoreFiles: ["1.ignore"] });
  });
});

it.each([
  ["none before", {}, ["PYTHONPATH=/root"]],
  ["another", { Env: ["PYTHONPATH=/lib:/x"] }, ["PYTHONPATH=/root:/lib:/x"]],
  ["the same", { Env: ["PYTHONPATH=/lib:/root"] }, ["PYTHONPATH=/lib:/root"]],
])("puts /root into PYTHONPATH: %s", (_title, config, expected) => {
  const plan = planOf(base.addLocalPythonSource("app", copy), { "app.py": "" }, config);
  expect(plan.config.config?.Env).toEqual(expected);
});

const wrong: readonly (readonly [string, () => unknown, string, RegExp])[] = [
  [
    "no copy",
    () => base.addLocalPythonSource("app", {} as never),
    "ERR_KILN_COPY_REQUIRED",
    /\("app", \{ copy: true \}\)/,
  ],
  ["no options", () => base.addLocalPythonSource("app" as never), "ERR_KILN_COPY_REQUIRED", /copy: true/],
  ["a path", () => base.addLocalPythonSource("./app", copy), "ERR_KILN_INVALID_ARGUMENT", /searchPaths/],
  ["a file", () => base.addLocalPythonSource("lib/app.py", copy), "ERR_KILN_INVALID_ARGUMENT", /"app"/],
  ["a dash", () => base.addLocalPythonSource("my-app", copy), "ERR_KILN_INVALID_ARGUMENT", /as in an import/],
  [
    "a number",
    () => base.addLocalPythonSource(1 as never, copy),
    "ERR_KILN_INVALID_ARGUMENT",
    /\("a", "b"\)/,
  ],
  [
    "no search path",
    () => base.addLocalPythonSource("a", { copy: true, searchPaths: [] }),
    "ERR_KILN_INVALID_ARGUMENT",
    /searchPaths: \[/,
  ],
  [
    "a function",
    () => base.addLocalPythonSource("a", { copy: true, ignore: (() => true) as never }),
    "ERR_KILN_INVALID_ARGUMENT",
    /invert\(\)/,
  ],
  [
    "snake case",
    () => base.addLocalPythonSource("a", { copy: true, search_paths: ["."] } as never),
    "ERR_KILN_UNKNOWN_OPTION",
    /searchPaths/,
  ],
];
it.each(wrong)("refuses %s at the call", (_title, call, code, hint) => {
  expect(thrown(call)).toMatchObject({
    code,
    hint: expect.stringMatching(hint),
    location: { file: import.meta.filename },
  });
});

it("is what Modal's builder does with the files", () => {
  const local: LocalFiles = { "src/app/__init__.py": "", "tool.py": "" };
  const image = base.addLocalPythonSource("app", "tool", copy);
  const readFile = (path: string): string | undefined => local[path];
  expect(image.toModalLayers({ readFile }).at(-1)).toEqual({
    commands: ["FROM base", "COPY . /"],
    contextFiles: { "/root/app/**": "src/app", "/root/tool.py": "tool.py" },
  });
  expect(thrown(() => image.toModalLayers())).toMatchObject({ code: "ERR_KILN_READER_NEEDED" });
  expect(thrown(() => image.toModalLayers({ readFile: () => undefined }))).toMatchObject({
    code: "ERR_KILN_FILE_NOT_FOUND",
  });
});

describe("an inverted matcher", () => {
  it.each([
    [["**/*.py"], { "a.py": false, "b/c.py": false, "b/c.txt": true, d: true }],
    [["dir", "!dir/keep"], { dir: false, "dir/x": false, "dir/keep": true, other: true }],
    [[], { a: true }],
  ])("of %j leaves out the rest", (patterns, expected) => {
    const inverted = new PatternMatcher(new FilePatternMatcher(...patterns).invert().patterns);
    const found = Object.keys(expected).map((path) => [path, inverted.matches(path)]);
    expect(Object.fromEntries(found)).toEqual(expected);
    const twice = new PatternMatcher(new FilePatternMatcher(...patterns).invert().invert().patterns);
    for (const [path, ignored] of Object.entries(expected)) expect(twice.matches(path)).toBe(!ignored);
  });

  it("cannot be made of a file's patterns", () => {
    expect(thrown(() => FilePatternMatcher.fromFile(".dockerignore").invert())).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      location: { file: import.meta.filename },
    });
  });
});
