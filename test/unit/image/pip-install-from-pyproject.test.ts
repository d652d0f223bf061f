import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import { commandsOf, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const install = (...optionalDependencies: string[]): Image =>
  base.pipInstallFromPyproject("pyproject.toml", { optionalDependencies });

const pyproject = `
[project]
name = "My.Project"
dependencies = ["torch<3", "attrs", "attrs", "foo[x]; python_version<'4'"]
[project.optional-dependencies]
test = ["pytest==8.*"]
Docs_Site = ["sphinx"]
all = ["my-project[test, docs-site]", "idna"]
`;

describe("pipInstallFromPyproject", () => {
  it.each([
    [
      "no path",
      () => base.pipInstallFromPyproject("" as string),
      'pipInstallFromPyproject("pyproject.toml")',
    ],
    [
      "a group that is no list",
      () => base.pipInstallFromPyproject("p", { optionalDependencies: "test" as never }),
      'optionalDependencies: ["test"]',
    ],
    ["a group that is a flag", () => install("--x"), 'optionalDependencies: ["test"]'],
  ])("refuses %s at the call", (_title, call, hint) => {
    const error = thrown(call);
    expect(error).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      location: { file: import.meta.filename },
    });
    expect(error.hint).toContain(hint);
  });

  it("installs the project's dependencies, sorted and each once", () => {
    expect(commandsOf(install(), { "pyproject.toml": pyproject }).shown).toEqual([
      `python -m pip install attrs 'foo[x]; python_version<'"'"'4'"'"'' 'torch<3'`,
    ]);
  });

  it("adds groups, by any spelling of their names, and those that they stand for", () => {
    const { shown } = commandsOf(install("ALL"), { "pyproject.toml": pyproject });
    expect(shown[0]).toContain(" idna 'pytest==8.*' sphinx 'torch<3'");
    expect(shown[0]).not.toContain("my-project");
    const one = commandsOf(install("docs.site", "docs-site"), { "pyproject.toml": pyproject });
    expect(one.shown[0]).toMatch(/ sphinx 'torch<3'$/);
  });

  it("runs nothing for a project without dependencies", () => {
    expect(commandsOf(install(), { "pyproject.toml": "[project]\ndependencies = []" }).shown).toEqual([]);
  });

  it.each([
    ["no TOML", "[project\nx", "pyproject.toml:1:", "Correct the file"],
    ["no [project]", "[tool.x]", "no dependencies in [project]", "dependencies = "],
    ["Poetry's own table", "[tool.poetry.dependencies]", "no dependencies", "poetryInstallFromFile"],
    ["a dynamic list", '[project]\ndynamic = ["dependencies"]', "dynamic", "addLocalDir"],
    ["an unknown group", "[project]\ndependencies=[]", '"test"', "has none at all"],
    [
      "an unknown group beside others",
      "[project]\ndependencies=[]\noptional-dependencies={b=[],a=[]}",
      '"test"',
      "There are: a, b.",
    ],
    ["a local package", '[project]\ndependencies=["x @ file:///x"]', "x @ file:///x", "addLocalDir"],
  ])("refuses %s with the file and the call", (title, text, message, hint) => {
    const image = title.includes("group") ? install("test") : install();
    const error = thrown(() => commandsOf(image, { "pyproject.toml": text }));
    expect(error).toMatchObject({ code: "ERR_KILN_FILE_INVALID", location: { file: import.meta.filename } });
    expect(error.message).toContain("pyproject.toml");
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });
});

describe("Modal's rendering of pipInstallFromPyproject", () => {
  it("lists packages as they are, groups that do not exist left out", () => {
    const image = base.pipInstallFromPyproject("pyproject.toml", {
      optionalDependencies: ["all", "nothing"],
      pre: true,
    });
    expect(modalLines(image, { "pyproject.toml": pyproject })).toEqual([
      `RUN python -m pip install attrs attrs 'foo[x]; python_version<'"'"'4'"'"'' idna 'my-project[test, docs-site]' 'torch<3'  --pre`,
    ]);
  });

  it("needs to read the file", () => {
    expect(thrown(() => install().toModalLayers()).code).toBe("ERR_KILN_READER_NEEDED");
    expect(thrown(() => modalLines(install())).code).toBe("ERR_KILN_FILE_NOT_FOUND");
  });
});
