import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import { commandsOf, gathered, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");

const pyproject = `
[project]
name = "demo"
dependencies = ["six"]
[project.optional-dependencies]
web = ["idna"]
[dependency-groups]
docs = ["attrs", { include-group = "lint" }]
lint = []
`;

const workspace = {
  "pyproject.toml": `
[project]
name = "root"
dependencies = ["api"]
[tool.uv.workspace]
members = ["packages/*", "./tools/one/"]
exclude = ["packages/old"]
[tool.uv.sources]
api = { workspace = true }
`,
  "packages/api/pyproject.toml": `[project]\nname = "api"\n[project.optional-dependencies]\nfast = ["x"]\n`,
  "packages/api/src/pyproject.py": "",
  "tools/one/pyproject.toml": '[project]\nname = "one"\n',
};

describe("uvSync", () => {
  it.each([
    [
      "options in the place of the directory",
      () => base.uvSync({ groups: ["a"] } as never),
      'uvSync("./", {',
    ],
    ["a group that is no list", () => base.uvSync("./", { groups: "a" as never }), 'groups: ["test"]'],
    ["an extra with a flag", () => base.uvSync("./", { extras: ["a --b"] }), 'extras: ["test"]'],
    ["frozen as text", () => base.uvSync("./", { frozen: "yes" as never }), "frozen: false"],
  ])("refuses %s at the call", (_title, call, hint) => {
    const error = thrown(call);
    expect(error).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      location: { file: import.meta.filename },
    });
    expect(error.hint).toContain(hint);
  });

  it("syncs a project by its lock into a place of its own, first on the PATH", () => {
    const image = base.uvSync(undefined, { groups: ["docs"], extras: ["web"], extraOptions: "--no-dev" });
    const files = { "pyproject.toml": pyproject, "uv.lock": "version = 1\n", "uv.toml": "x = 1\n" };
    const { shown, mounted, env, imageEnv } = commandsOf(image, files, { Env: ["PATH=/usr/bin"] });
    expect(shown).toEqual([
      "uv sync --no-install-workspace --compile-bytecode --link-mode=copy --group=docs --extra=web --no-dev --frozen",
    ]);
    expect(env[0]).toContain("UV_PROJECT_ENVIRONMENT=/opt/venv");
    expect(imageEnv).toEqual(["PATH=/opt/venv/bin:/usr/bin"]);
    for (const [path, text] of Object.entries(files)) expect(mounted.get(`/dir/${path}`)).toBe(text);
  });

  it.each([
    ["there is no lock", {}, {}],
    ["frozen is false", { frozen: false }, { "uv.lock": "version = 1\n" }],
  ])("lets uv lock when %s", (_title, options, more) => {
    const { shown } = commandsOf(base.uvSync("app", options), {
      "app/pyproject.toml": pyproject,
      ...Object.fromEntries(Object.entries(more).map(([path, text]) => [`app/${path}`, text])),
    });
    expect(shown[0]).not.toContain("--frozen");
  });

  it("mounts the pyproject of every member of a workspace, and nothing else of it", () => {
    const image = base.uvSync("./", { extras: ["fast"] });
    const { needs } = gathered(image, workspace);
    expect(needs.listings).toMatchObject([
      {
        path: "./",
        patterns: ["packages/*/pyproject.toml", "tools/one/pyproject.toml", "!packages/old/pyproject.toml"],
      },
    ]);
    const { mounted } = commandsOf(image, workspace);
    expect([...mounted.keys()].filter((path) => path.startsWith("/dir/"))).toEqual([
      "/dir/packages/api/pyproject.toml",
      "/dir/pyproject.toml",
      "/dir/tools/one/pyproject.toml",
    ]);
  });

  it.each([
    ["an unknown group", "", { groups: ["x"] }, 'dependency groups "x"', "There are: docs, lint."],
    ["an unknown extra", "", { extras: ["x"] }, 'optional dependencies "x"', "There are: web."],
    [
      "a source that is a path",
      '[tool.uv.sources]\nsix = { path = "../six" }',
      {},
      "the source of six is the path ../six",
      "member of the workspace",
    ],
    [
      "one of a group that is asked for",
      '[tool.uv.sources]\nattrs = [{ path = "../attrs", marker = "x" }]',
      { groups: ["docs"] },
      "../attrs",
      "member of the workspace",
    ],
    [
      "a member without its workspace",
      "[tool.uv.sources]\nsix = { workspace = true }",
      {},
      "root is another directory",
      "--package NAME",
    ],
    ["members outside", '[tool.uv.workspace]\nmembers = ["../x"]', {}, "outside", "below the directory"],
    ["bad TOML", "x =", {}, "./pyproject.toml:", "Correct the file"],
  ])("refuses %s with the file and the call", (_title, more, options, message, hint) => {
    const error = thrown(() =>
      commandsOf(base.uvSync("./", options), { "pyproject.toml": `${pyproject}${more}` }),
    );
    expect(error).toMatchObject({ code: "ERR_KILN_FILE_INVALID", location: { file: import.meta.filename } });
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  it("takes sources that are members, or that nobody asked for", () => {
    const sources = "[tool.uv.sources]\nsix = { path = './libs/six' }\nattrs = { path = '../attrs' }\n";
    const files = {
      "pyproject.toml": `${pyproject}[tool.uv.workspace]\nmembers = ["libs/*"]\n${sources}`,
      "libs/six/pyproject.toml": "[project]\n",
    };
    expect(commandsOf(base.uvSync(), files).shown).toHaveLength(1);
  });
});

describe("Modal's rendering of uvSync", () => {
  it.each([
    [true, {}, " --frozen"],
    [true, { frozen: false }, ""],
    [false, {}, ""],
  ])("with a lock: %s, options %j", (hasLock, options, end) => {
    const image = base.uvSync("app/", { groups: ["docs"], extras: ["web"], extraOptions: "-q", ...options });
    const files = { "app/pyproject.toml": pyproject, ...(hasLock ? { "app/uv.lock": "" } : {}) };
    expect(modalLines(image, files)).toEqual([
      "COPY --from=ghcr.io/astral-sh/uv:latest /uv /.uv/uv",
      "COPY /.pyproject.toml /.uv/pyproject.toml",
      ...(hasLock ? ["COPY /.uv.lock /.uv/uv.lock"] : []),
      `RUN /.uv/uv sync --project=/.uv --no-install-workspace --compile-bytecode --group=docs --extra=web -q${end}`,
      "ENV PATH=/.uv/.venv/bin:$PATH",
    ]);
  });

  it("copies the files that the chain names, and refuses workspaces", () => {
    const layers = base.uvSync().toModalLayers({
      readFile: (path) => (path === "./pyproject.toml" ? pyproject : undefined),
    });
    expect(layers.at(-1)?.contextFiles).toEqual({ "/.pyproject.toml": "./pyproject.toml" });
    const read = { "./pyproject.toml": workspace["pyproject.toml"] };
    expect(thrown(() => modalLines(base.uvSync(), read)).code).toBe("ERR_KILN_UNSUPPORTED");
  });
});
