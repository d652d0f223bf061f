import { describe, expect, it } from "vitest";
import { defineStep, Image, type ModalLayer, Secret } from "../../../src/index.js";

const debianCommands = (python: string): readonly string[] => [
  `FROM python:${python}-slim-bookworm`,
  "RUN apt-get update",
  "RUN apt-get install -y gcc gfortran build-essential",
  "RUN pip install --upgrade pip wheel uv",
  "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
  'CMD ["sleep", "172800"]',
];

const layer = (...commands: readonly string[]): ModalLayer => ({
  commands: ["FROM base", ...commands],
  contextFiles: {},
});

const uv = "COPY --from=ghcr.io/astral-sh/uv:latest /uv /.uv/uv";
const uvInstall = "RUN /.uv/uv pip install --python $(command -v python) --compile-bytecode";

const base = Image.fromRegistry("debian:12");

/** The layers after the base's. */
const layersOf = (image: Image): readonly ModalLayer[] => image.toModalLayers().slice(1);

describe("the chains of Modal's own pages become Modal's own commands", () => {
  it("S1: an image with git, torch, a variable and a clone", () => {
    const image = Image.debianSlim({ pythonVersion: "3.13" })
      .aptInstall("git")
      .uvPipInstall("torch<3")
      .env({ HALT_AND_CATCH_FIRE: "0" })
      .runCommands("git clone https://github.com/modal-labs/agi");
    expect(image.toModalLayers()).toEqual([
      { commands: debianCommands("3.13.3"), contextFiles: {} },
      layer("RUN apt-get update", "RUN apt-get install -y git"),
      layer(uv, `${uvInstall} 'torch<3'`),
      layer("ENV HALT_AND_CATCH_FIRE=0"),
      layer("RUN git clone https://github.com/modal-labs/agi"),
    ]);
  });

  it.each([
    ["3.10", "3.10.17"],
    ["3.11", "3.11.12"],
    ["3.12", "3.12.10"],
    ["3.13", "3.13.3"],
    ["3.14", "3.14.2"],
    ["3.12.4", "3.12.4"],
  ])("S2: debianSlim of Python %s is %s", (pythonVersion, full) => {
    const layers = Image.debianSlim({ pythonVersion }).toModalLayers();
    expect(layers).toEqual([{ commands: debianCommands(full), contextFiles: {} }]);
  });

  it("S3, S19: micromamba and its packages, in the order given", () => {
    const image = Image.micromamba({ pythonVersion: "3.12" }).micromambaInstall(
      "pymc==5.10.4",
      "numpyro==0.13.2",
      { channels: ["conda-forge"] },
    );
    expect(image.toModalLayers()).toEqual([
      {
        commands: [
          "FROM mambaorg/micromamba:2.1.1-debian12-slim",
          'SHELL ["/usr/local/bin/_dockerfile_shell.sh"]',
          "ENV MAMBA_DOCKERFILE_ACTIVATE=1",
          "RUN micromamba install -n base -y python=3.12 pip -c conda-forge",
          'CMD ["sleep", "172800"]',
        ],
        contextFiles: {},
      },
      layer("RUN micromamba install pymc==5.10.4 numpyro==0.13.2 -c conda-forge --yes"),
    ]);
  });

  it("S4: a registry's image is its name", () => {
    expect(Image.fromRegistry("huanjason/scikit-learn").toModalLayers()).toEqual([
      { commands: ["FROM huanjason/scikit-learn"], contextFiles: {} },
    ]);
    const cuda = "nvidia/cuda:12.4.0-devel-ubuntu22.04";
    expect(Image.fromRegistry(cuda, { addPython: "3.11" }).toModalLayers()[0]?.commands).toEqual([
      `FROM ${cuda}`,
      "COPY /python/. /usr/local",
      "RUN ln -s /usr/local/bin/python3 /usr/local/bin/python",
      "ENV TERMINFO_DIRS=/etc/terminfo:/lib/terminfo:/usr/share/terminfo:/usr/lib/terminfo",
    ]);
    expect(Image.fromRegistry(cuda, { addPython: "3.13" }).toModalLayers()[0]?.commands).not.toContain(
      "RUN ln -s /usr/local/bin/python3 /usr/local/bin/python",
    );
  });

  it("S5: a Dockerfile is its text, and a layer on top", () => {
    const text = 'FROM debian:12\nRUN apt-get update\nCMD ["bash"]\n';
    const image = Image.fromDockerfile("Dockerfile");
    expect(image.toModalLayers({ readFile: (path) => (path === "Dockerfile" ? text : undefined) })).toEqual([
      { commands: text.split("\n"), contextFiles: {} },
      layer(),
    ]);
    expect(() => image.toModalLayers()).toThrow(
      expect.objectContaining({ code: "ERR_KILN_READER_NEEDED", hint: expect.stringContaining("readFile") }),
    );
  });

  it("S6, S7: packages are sorted and quoted", () => {
    expect(layersOf(base.uvPipInstall("pandas==2.2.0", "numpy"))).toEqual([
      layer(uv, `${uvInstall} numpy pandas==2.2.0`),
    ]);
    expect(layersOf(base.pipInstall("transformers", "diffusers[torch]"))).toEqual([
      layer("RUN python -m pip install 'diffusers[torch]' transformers"),
    ]);
  });

  it("S20: a device changes no command", () => {
    expect(layersOf(base.pipInstall("bitsandbytes", { gpu: "H100" }))).toEqual([
      layer("RUN python -m pip install bitsandbytes"),
    ]);
  });

  it("S14, S15: copied files are one COPY of a context", () => {
    expect(layersOf(base.addLocalDir("/user/erikbern/.aws", "/root/.aws", { copy: true }))).toEqual([
      { commands: ["FROM base", "COPY . /"], contextFiles: { "/root/.aws/**": "/user/erikbern/.aws" } },
    ]);
    expect(layersOf(base.addLocalFile("config.json", "/root/", { copy: true }))).toEqual([
      { commands: ["FROM base", "COPY . /"], contextFiles: { "/root/config.json": "config.json" } },
    ]);
  });
});

describe("quoting is Python's", () => {
  it.each([
    ["6443", "PORT=6443"],
    ["b c", "PORT='b c'"],
    ["it's", `PORT='it'"'"'s'`],
    ["$PATH", "PORT='$PATH'"],
    ["", "PORT=''"],
    ["a,b:c/d.e-f_g@h%i+j=k", "PORT=a,b:c/d.e-f_g@h%i+j=k"],
    ["über", "PORT='über'"],
    ["a\nb", "PORT='a\nb'"],
    ["~/x", "PORT='~/x'"],
    ['say "hi"', `PORT='say "hi"'`],
  ])("of the variable's value %j", (value, line) => {
    expect(layersOf(base.env({ PORT: value }, { expand: false }))).toEqual([layer(`ENV ${line}`)]);
  });

  it.each([
    ["/a b", "WORKDIR '/a b'"],
    ["/app", "WORKDIR /app"],
  ])("of the directory %j", (path, line) => {
    expect(layersOf(base.workdir(path))).toEqual([layer(line)]);
  });

  it.each([
    ["foo; python_version<'3.9'", `'foo; python_version<'"'"'3.9'"'"''`],
    ["torch==2.5.1+cu124", "torch==2.5.1+cu124"],
    ["a>=1,<2", "'a>=1,<2'"],
    ["a!=1.0", "'a!=1.0'"],
    ["a~=1.0", "'a~=1.0'"],
    ["git+https://github.com/x/y@v1#egg=y", "'git+https://github.com/x/y@v1#egg=y'"],
    ["uvicorn[standard]", "'uvicorn[standard]'"],
  ])("of the package %s", (spec, quoted) => {
    expect(layersOf(base.pipInstall(spec))).toEqual([layer(`RUN python -m pip install ${quoted}`)]);
    expect(layersOf(base.uvPipInstall(spec))).toEqual([layer(uv, `${uvInstall} ${quoted}`)]);
  });

  it("leaves lists of strings unescaped, as Modal does", () => {
    const image = base.entrypoint(["a", 'b "c"']).cmd([]).shell(["/bin/bash", "-c"]);
    expect(layersOf(image)).toEqual([
      layer('ENTRYPOINT ["a", "b "c""]'),
      layer("CMD []"),
      layer('SHELL ["/bin/bash", "-c"]'),
    ]);
  });
});

describe("options of pip and uv", () => {
  it("of pip, in Modal's order", () => {
    const image = base.pipInstall("b", "a", {
      ...{ findLinks: "https://links", indexUrl: "https://index", extraIndexUrl: "https://extra" },
      ...{ pre: true, extraOptions: "--no-deps -v" },
    });
    expect(layersOf(image)).toEqual([
      layer(
        "RUN python -m pip install a b --find-links https://links --index-url https://index --extra-index-url https://extra --pre --no-deps -v",
      ),
    ]);
  });

  it("of uv, in Modal's order", () => {
    const image = base.uvPipInstall("b", "a", {
      ...{ findLinks: "https://links", indexUrl: "https://index", extraIndexUrl: "https://extra" },
      ...{ pre: true, extraOptions: "--no-deps", uvVersion: "0.7.8", requirements: ["reqs/dev.txt"] },
    });
    expect(layersOf(image)).toEqual([
      {
        commands: [
          "FROM base",
          "COPY --from=ghcr.io/astral-sh/uv:0.7.8 /uv /.uv/uv",
          "COPY /.0_dev.txt /.uv/0/dev.txt",
          `${uvInstall} --find-links https://links --index-url https://index --extra-index-url https://extra --prerelease allow --no-deps --requirements /.uv/0/dev.txt a b`,
        ],
        contextFiles: { "/.0_dev.txt": "reqs/dev.txt" },
      },
    ]);
  });
});

it("leaves out what changes no command: name, env, secrets, force, timeout, certificates", () => {
  const options = {
    ...{ name: "n", env: { A: "b" }, secrets: [Secret.fromEnv("TOKEN")] },
    ...{ forceBuild: true, timeoutMs: 5, caBundle: "ca.pem" },
  };
  expect(layersOf(base.runCommands("a", "b", options))).toEqual([layer("RUN a", "RUN b")]);
});

it.each([
  ["npmInstall", base.npmInstall("typescript@5.6.2")],
  ["copyFrom", base.copyFrom(base, "/etc/hostname")],
  ["user", base.user("app")],
  ["healthcheck", base.healthcheck("true")],
  ["label", base.label({ a: "b" })],
  [
    "acme.tool",
    base.step(
      defineStep({
        id: "acme.tool",
        version: 1,
        validate: () => undefined,
        title: () => "acme.tool",
        lower: (chain) => chain,
      }),
      undefined,
    ),
  ],
])("refuses a step that Modal lacks by its name: %s", (id, image) => {
  expect(() => image.toModalLayers()).toThrow(
    expect.objectContaining({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining(`no step ${id}`),
      hint: expect.stringContaining("toDockerfile"),
    }),
  );
});
