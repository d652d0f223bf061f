import { describe, expect, it } from "vitest";
import { builderVersion } from "../../../src/image/builder-version.js";
import { Image } from "../../../src/image/image.js";
import { execsOf, type LocalFiles, madeFiles, needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const builder = builderVersion();
const refs = (image: Image, local?: LocalFiles) =>
  needsWith(image, local).needs.bases.map((base) => (base.kind === "registry" ? base.ref : base.kind));

describe("the base", () => {
  it.each([
    [undefined, "3.13.3"],
    ["3.12", "3.12.10"],
    ["3.10", "3.10.17"],
    ["3.12.4", "3.12.4"],
    ["3.15.0rc1", "3.15.0rc1"],
  ])("of Python %s is pinned", (version, full) => {
    expect(refs(Image.debianSlim(version))).toEqual([`docker.io/library/python:${full}-slim-bookworm`]);
    expect(refs(Image.debianSlim({ pythonVersion: version }))).toEqual(refs(Image.debianSlim(version)));
  });

  it.each([
    [3.12, "in quotes", "the number 3.12"],
    [3.1, "the number 3.10 is 3.1", "the number 3.1"],
    ["3", "a series", '"3"'],
    ["python3.12", "a series", '"python3.12"'],
    ["2.7.18", "a series", '"2.7.18"'],
    ["3.14t", 'addPython: "3.14t"', "free-threaded Python 3.14t"],
    ["3.99", '"3.99.0"', "no pinned Python 3.99"],
    ["3.9.21", 'Image.fromRegistry("python:3.9.21-slim")', "older"],
    [null, "a series", "null"],
  ])("of Python %s is refused at the call", (version, hint, message) => {
    for (const call of [
      () => Image.debianSlim({ pythonVersion: version as never }),
      () => Image.debianSlim(version as never),
    ]) {
      const error = thrown(call);
      expect(error).toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
        location: { file: import.meta.filename },
      });
    }
  });

  it.each([
    [{ python_version: "3.12" }, 'Did you mean "pythonVersion"?'],
    [{ gpu: "H100" }, "Give gpu to the step"],
    [{ packages: [] }, "It takes: "],
  ])("is refused with the options %o", (options, hint) => {
    expect(thrown(() => Image.debianSlim(options as never))).toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
      hint: expect.stringContaining(hint),
    });
  });

  it("is resolved anew with forceBuild, and everything after it runs again", () => {
    const image = Image.debianSlim({ forceBuild: true, buildTools: false }).runCommands("x");
    expect(needsWith(image).needs.bases).toMatchObject([{ refresh: true }]);
    const plan = planOf(image);
    const ignored = (plan.definition?.ops ?? []).filter(
      ({ digest }) => plan.definition?.metadata.get(digest)?.ignoreCache === true,
    );
    expect(ignored).toHaveLength(2);
  });
});

describe('the version "auto"', () => {
  const auto = Image.debianSlim({ pythonVersion: "auto" });
  const project = (requires: string) =>
    `[build-system]\nrequires = []\n\n[project]\nrequires-python = ${requires}\n`;

  it.each([
    [".python-version", { ".python-version": "3.11\n" }, "3.11.12"],
    ["its comments", { ".python-version": "# a comment\n\n3.12.4 # pinned\n3.11\n" }, "3.12.4"],
    ["what uv and pyenv write", { ".python-version": "cpython@3.10\n" }, "3.10.17"],
    ["the default where it will do", { "pyproject.toml": project('">=3.10"') }, "3.13.3"],
    ["the newest that is allowed", { "pyproject.toml": project("'>=3.10,<3.12'") }, "3.11.12"],
    ["a compatible release", { "pyproject.toml": project('"~=3.12.3"') }, "3.12.10"],
    ["a series", { "pyproject.toml": project('"==3.10.*" # old') }, "3.10.17"],
    ["a dotted key", { "pyproject.toml": 'project.requires-python = ">=3.10,<3.12"\n' }, "3.11.12"],
    ["an exclusion", { "pyproject.toml": project('"!=3.13.*, >3.12"') }, "3.14.2"],
    [
      ".python-version first",
      { ".python-version": "3.12", "pyproject.toml": project('"==3.10.*"') },
      "3.12.10",
    ],
  ])("reads %s", (_title, local: LocalFiles, full) => {
    expect(refs(auto, local)).toEqual([`docker.io/library/python:${full}-slim-bookworm`]);
    expect(planOf(auto, local).steps[0]?.vertices).not.toEqual([]);
    expect(auto.toModalLayers({ readFile: (path) => local[path] })[0]?.commands[0]).toBe(
      `FROM python:${full}-slim-bookworm`,
    );
  });

  it.each([
    ["no file", {}, "neither .python-version nor pyproject.toml", "cwd"],
    [
      "no requirement",
      { "pyproject.toml": '[tool.x]\nrequires-python = ">=3.10"\n' },
      "no requires-python",
      "3.12",
    ],
    ["another Python", { ".python-version": "pypy3.10-7.3" }, '"pypy3.10-7.3"', "3.12.4"],
    ["an empty file", { ".python-version": "\n" }, '""', "3.12"],
    ["a Python that is too new", { "pyproject.toml": project('">=3.99"') }, "none of the pinned", "3.13.3"],
    ["a Python that is too old", { ".python-version": "3.9.2" }, "3.9.2 is older", "python:3.9.2-slim"],
    ["a series without a pin", { ".python-version": "3.99" }, "pins no Python 3.99", "3.14"],
    ["no specifier", { "pyproject.toml": project('"three"') }, "cannot be read", ">=3.11"],
    ["a wildcard that means nothing", { "pyproject.toml": project('">=3.*"') }, "cannot be read", ">=3.11"],
  ])("is refused for %s, with the place of the call", (_title, local: LocalFiles, message, hint) => {
    expect(thrown(() => needsWith(auto, local))).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
      location: { file: import.meta.filename },
    });
  });
});

describe("the layer", () => {
  it("is one command with compilers and pinned tools, downloads in cache mounts", () => {
    const plan = planOf(Image.debianSlim(), {}, { Cmd: ["python3"] });
    const [exec, ...others] = execsOf(plan);
    expect(others).toEqual([]);
    expect(exec?.meta?.args.at(-1)?.split(" && ")).toEqual([
      "apt-get update",
      "apt-get install -y -- gcc gfortran build-essential",
      "python -m pip install --upgrade --no-deps --only-binary :all: --require-hashes --root-user-action ignore -r /run/kiln/requirements.txt",
      "echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
    ]);
    expect(
      exec?.mounts.flatMap(({ dest, cacheOpt }) => (cacheOpt === undefined ? [] : [dest])).sort(),
    ).toEqual(["/root/.cache/pip", "/var/cache/apt", "/var/lib/apt/lists"]);
    const requirements = madeFiles(plan).find((text) => text.includes("pip=="));
    expect(requirements?.split("\n").filter((line) => /^\w/.test(line))).toEqual(
      [...builder.packageTools, { name: "uv", ...builder.uv }].map(
        ({ name, version }) => `${name}==${version} \\`,
      ),
    );
    expect(requirements?.match(/--hash=sha256:[0-9a-f]{64}/g)).toHaveLength(3 + builder.uv.wheels.length);
    expect(plan.config.config?.Cmd).toEqual(["sleep", "172800"]);
  });

  it("has no compilers without build tools", () => {
    const plan = planOf(Image.debianSlim({ buildTools: false }));
    expect(execsOf(plan)[0]?.meta?.args.at(-1)).not.toContain("apt-get");
    expect(execsOf(plan)[0]?.mounts.map(({ dest }) => dest)).not.toContain("/var/cache/apt");
  });

  it("gives its command up for an entrypoint, as a base does", () => {
    const image = Image.debianSlim().entrypoint(["python", "app.py"]);
    expect(planOf(image).config.config).toMatchObject({ Entrypoint: ["python", "app.py"] });
    expect(planOf(image).config.config).not.toHaveProperty("Cmd");
    expect(planOf(image.cmd(["a"])).config.config?.Cmd).toEqual(["a"]);
  });

  it("runs with the step's own environment", () => {
    const plan = planOf(Image.debianSlim({ env: { PIP_INDEX_URL: "https://index.example/simple" } }));
    expect(execsOf(plan)[0]?.meta?.env).toContain("PIP_INDEX_URL=https://index.example/simple");
    expect(plan.config.config?.Env ?? []).toEqual([]);
  });
});

it("is what Modal's builder makes of debian_slim", () => {
  expect(Image.debianSlim("3.13").toModalLayers()).toEqual([
    {
      commands: [
        "FROM python:3.13.3-slim-bookworm",
        "RUN apt-get update",
        "RUN apt-get install -y gcc gfortran build-essential",
        "RUN pip install --upgrade pip wheel uv",
        "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
        'CMD ["sleep", "172800"]',
      ],
      contextFiles: {},
    },
  ]);
});
