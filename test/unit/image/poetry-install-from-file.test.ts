import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import type { PoetryInstallFromFileOptions } from "../../../src/image/steps/poetry-install-from-file.js";
import { commandsOf, gathered, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const install = (options?: PoetryInstallFromFileOptions): Image =>
  base.poetryInstallFromFile("app/pyproject.toml", options);

const pyproject = `
[tool.poetry.dependencies]
python = "^3.9"
six = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
mine = { path = "../mine" }
[tool.poetry.group.Lint_All.dependencies]
idna = "*"
[dependency-groups]
pep = []
`;
const files = { "app/pyproject.toml": pyproject, "app/poetry.lock": "# lock\n" };

describe("poetryInstallFromFile", () => {
  it.each([
    ["a lock that is to be ignored", { lockfile: "x.lock", ignoreLockfile: true }, "Drop one"],
    ["only with others", { only: ["main"], with: ["docs"] }, "List all groups"],
    ["Modal's latest", { poetryVersion: "latest" }, "Leave it out"],
    ["no version", { poetryVersion: "^2" }, 'poetryVersion: "2.2.1"'],
    ["the old installer with the pinned Poetry", { oldInstaller: true }, "1.4.2"],
    ["the old installer with one that lacks it", { oldInstaller: true, poetryVersion: "1.5.0" }, "1.4.2"],
    ["groups that are no names", { with: ["a,b"] }, 'with: ["test"]'],
    ["an empty path of a lock", { lockfile: "" }, 'lockfile: "poetry.lock"'],
  ])("refuses %s at the call", (_title, options, hint) => {
    const error = thrown(() => base.poetryInstallFromFile("p.toml", options));
    expect(error).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      location: { file: import.meta.filename },
    });
    expect(error.hint).toContain(hint);
  });

  it("refuses Python's name of an option", () => {
    const error = thrown(() => install({ with_: ["docs"] } as never));
    expect(error).toMatchObject({ code: "ERR_KILN_UNKNOWN_OPTION", hint: 'Did you mean "with"?' });
  });

  it("installs by the lock beside the project, with a Poetry of its own", () => {
    const { shown, scripts, mounted, caches, env, imageEnv } = commandsOf(install(), files, { Env: ["A=1"] });
    expect(shown).toEqual(["poetry install --no-root --compile"]);
    expect(scripts[0]?.split("\n").at(-1)).toBe(
      "cd /run/kiln/project && run_poetry install --no-root --compile --no-interaction",
    );
    expect(mounted.get("/dir/poetry.lock")).toBe("# lock\n");
    expect(caches).toEqual([
      "/root/.cache/pip kiln-pip-cache-linux/amd64",
      "/root/.cache/pypoetry kiln-poetry-cache-linux/amd64",
      "/run/kiln/poetry kiln-poetry-2.2.1-linux/amd64",
    ]);
    expect(env[0]).toContain("POETRY_VIRTUALENVS_CREATE=false");
    expect(imageEnv).toEqual(["A=1"]);
  });

  it.each([
    [{}, ["app/pyproject.toml", "app/poetry.lock"]],
    [{ lockfile: "locks/a.lock" }, ["app/pyproject.toml", "locks/a.lock"]],
    [{ ignoreLockfile: true }, ["app/pyproject.toml"]],
  ])("needs with %j the files %j", (options, paths) => {
    const { needs } = gathered(install(options), {});
    expect(needs.files.map(({ path }) => path)).toEqual(paths);
    expect(needs.files.every(({ optional }) => !optional)).toBe(true);
  });

  it("passes groups on", () => {
    const all = { without: ["lint-all", "pep"] };
    expect(commandsOf(install(all), files).shown).toEqual([
      "poetry install --no-root --without lint-all,pep --compile",
    ]);
    expect(commandsOf(install({ only: ["main"] }), files).shown[0]).toContain("--only main");
  });

  it("takes the Poetry of the image, and old ones with their installer", () => {
    const own = commandsOf(install({ poetryVersion: null }), files);
    expect(own.scripts[0]).toContain("command -v poetry");
    expect(own.caches).toEqual(["/root/.cache/pypoetry kiln-poetry-cache-linux/amd64"]);
    const old = commandsOf(install({ poetryVersion: "1.4.2", oldInstaller: true }), files);
    expect(old.env[0]).toContain("POETRY_EXPERIMENTAL_NEW_INSTALLER=false");
    expect(old.scripts[0]).toContain("poetry==1.4.2");
  });

  it.each([
    ["an unknown group", { with: ["x"] }, '"x"', "There are: docs, lint-all, main, pep."],
    [
      "a path among what is installed",
      { with: ["docs"] },
      "mine is the path ../mine",
      "a group that is left out",
    ],
  ])("refuses %s with the file and the call", (_title, options, message, hint) => {
    const error = thrown(() => commandsOf(install(options), files));
    expect(error).toMatchObject({ code: "ERR_KILN_FILE_INVALID", location: { file: import.meta.filename } });
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });
});

describe("Modal's rendering of poetryInstallFromFile", () => {
  const end = (flags: string): readonly string[] => [
    "COPY /.pyproject.toml /tmp/poetry/pyproject.toml",
    "RUN cd /tmp/poetry && \\ ",
    "  poetry config virtualenvs.create false && \\ ",
    `poetry install --no-root${flags} --compile`,
  ];

  it.each([
    [{}, ["RUN python -m pip install poetry", "COPY /.poetry.lock /tmp/poetry/poetry.lock", ...end("")]],
    [
      { ignoreLockfile: true, poetryVersion: "1.4.2", oldInstaller: true },
      [
        "RUN python -m pip install poetry==1.4.2",
        "RUN poetry config experimental.new-installer false",
        ...end(""),
      ],
    ],
    [
      { poetryVersion: null, lockfile: "a.lock", with: ["a", "b"], without: ["c"] },
      ["COPY /.poetry.lock /tmp/poetry/poetry.lock", ...end(" --with a,b --without c")],
    ],
    [{ ignoreLockfile: true, poetryVersion: null, only: ["d"] }, end(" --only d")],
  ])("has for %j its lines", (options, expected) => {
    expect(modalLines(install(options), files)).toEqual(expected);
  });

  it("copies the lock beside the project, which has to be there", () => {
    const layer = install()
      .toModalLayers({ readFile: () => "" })
      .at(-1);
    expect(layer?.contextFiles).toEqual({
      "/.pyproject.toml": "app/pyproject.toml",
      "/.poetry.lock": "app/poetry.lock",
    });
    expect(thrown(() => modalLines(install()))).toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      hint: expect.stringContaining("ignoreLockfile"),
    });
  });
});
