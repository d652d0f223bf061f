import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import {
  type BuildResult,
  Engine,
  Image,
  localDir,
  registry as registryOutput,
  Secret,
  type SolveError,
} from "../../src/index.js";
import { baseLayout, describeOneEngine, registry } from "./support/engines.js";
import { pythonRepositoryFiles, startGitServer } from "./support/git-server.js";
import { inSoak, itLong } from "./support/long-tests.js";
import { newRepositories, Repository } from "./support/moving-sources.js";
import { type PackageIndex, startPackageIndex } from "./support/package-index.js";
import { authoritiesFile, unreachableFromSteps } from "./support/reachable.js";
import { type ImageFile, readRegistryImage } from "./support/registry-image.js";
import type { StepServer } from "./support/step-server.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-python-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2);
const python = (): Image => Image.fromRegistry("python:3.13-slim");

/** A command that writes what is installed of some packages, as lines of name and version. */
const versions = (...names: readonly string[]): string =>
  `python -c 'from importlib.metadata import version as v
for name in ${JSON.stringify(names)}: print(name, v(name))' > /out`;

/** Files by path below a new directory. */
function project(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(dir, "project-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const sixHash = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274";
const idnaHash = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3";
const attrsHash = "427318ce031701fea540783410126f03899a97ffc6f61596ad581ac2e40e3bc3";

const wheels = {
  six: `{ url = "https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl", hash = "sha256:${sixHash}", size = 11050 }`,
  idna: `{ url = "https://files.pythonhosted.org/packages/76/c6/c88e154df9c4e1a2a66ccf0005a88dfb2650c1dffb6f5ce603dfbd452ce3/idna-3.10-py3-none-any.whl", hash = "sha256:${idnaHash}", size = 70442 }`,
  attrs: `{ url = "https://files.pythonhosted.org/packages/77/06/bb80f5f86020c4551da315d78b3ab75e8228f89f0162f2c3a819e407941a/attrs-25.3.0-py3-none-any.whl", hash = "sha256:${attrsHash}", size = 63815 }`,
};

const locked = (name: keyof typeof wheels, version: string): string => `
[[package]]
name = "${name}"
version = "${version}"
source = { registry = "https://pypi.org/simple" }
wheels = [
    ${wheels[name]},
]
`;

/** A project with an extra and two groups, locked. */
const demo = {
  "pyproject.toml": `[project]
name = "demo"
version = "0.1.0"
requires-python = ">=3.9"
dependencies = ["six==1.17.0"]

[project.optional-dependencies]
web = ["idna==3.10"]

[dependency-groups]
docs = ["attrs==25.3.0"]
lint = []
`,
  "uv.lock": `version = 1
revision = 3
requires-python = ">=3.9"
${locked("attrs", "25.3.0")}
[[package]]
name = "demo"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "six" },
]

[package.optional-dependencies]
web = [
    { name = "idna" },
]

[package.dev-dependencies]
docs = [
    { name = "attrs" },
]
${locked("idna", "3.10")}${locked("six", "1.17.0")}`,
};

const poetryLocked = (name: keyof typeof wheels, version: string, group: string): string => `
[[package]]
name = "${name}"
version = "${version}"
description = ""
optional = false
python-versions = ">=3.5"
groups = ["${group}"]
files = [
    {file = "${/[^/]+\.whl/.exec(wheels[name])?.[0]}", hash = "${/sha256:\w+/.exec(wheels[name])?.[0]}"},
]

[package.source]
type = "legacy"
url = "https://pypi.org/simple"
reference = "index"
`;

/** A project of Poetry's with an optional group and another, locked. Its source is one that mirrors have, too. */
const poetryDemo = {
  "pyproject.toml": `[project]
name = "demo"
version = "0.1.0"
requires-python = ">=3.9"
dependencies = ["six==1.17.0"]

[tool.poetry.group.docs]
optional = true

[tool.poetry.group.docs.dependencies]
attrs = "25.3.0"

[tool.poetry.group.lint.dependencies]
idna = "3.10"

[[tool.poetry.source]]
name = "index"
url = "https://pypi.org/simple/"
priority = "primary"
`,
  "poetry.lock": `${poetryLocked("attrs", "25.3.0", "docs")}${poetryLocked("idna", "3.10", "lint")}${poetryLocked("six", "1.17.0", "main")}
[metadata]
lock-version = "2.1"
python-versions = ">=3.9"
content-hash = "28a385b3a42f9dfbbe1c055a8f651ab124214c6247f283a025ae9a9a75d7abea"
`,
};

describeOneEngine("older", "Python steps", (testEngine) => {
  const { name, address } = testEngine;
  let engine: Engine;
  let reason: string | undefined;
  beforeAll(async () => {
    engine = await Engine.connect({
      host: address,
      mirrors: { "ghcr.io": registry() },
      caBundle: authoritiesFile(),
    });
    reason = await unreachableFromSteps("pypi", testEngine);
  });
  afterAll(() => engine.close());
  beforeEach((context) => {
    if (reason !== undefined) context.skip(reason);
  });

  /** What `/out` is, and the build. */
  async function built(
    image: Image,
    options: { readonly cwd?: string } = {},
  ): Promise<{ readonly text: string; readonly result: BuildResult }> {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await engine.build(Image.fromScratch().copyFrom(image, "/out"), {
      outputs: [localDir(out)],
      cwd: options.cwd ?? dir,
    }).result;
    return { text: readFileSync(join(out, "out"), "utf8").trim(), result };
  }

  /** The error of a build that fails. */
  async function failure(image: Image, cwd = dir): Promise<SolveError> {
    const error = await engine.build(image, { outputs: [], cwd }).result.catch((reason: unknown) => reason);
    if (error instanceof Error) return error as SolveError;
    throw new Error("the build did not fail");
  }

  /** Paths of an image that its base does not have, or has with other content, outside of `inside`. */
  async function residue(image: Image, inside: RegExp, cwd = dir): Promise<readonly string[]> {
    const ref = `${registry()}/python-steps/${name}:${fresh()}`;
    await engine.build(image, { outputs: [registryOutput(ref)], cwd }).result;
    const before = await baseFiles();
    const { files } = await readRegistryImage(ref);
    const changed = [...files].filter(([path, file]) => {
      const old = before.get(path);
      return old === undefined || old.sha256 !== file.sha256 || old.mode !== file.mode;
    });
    expect(changed.some(([path]) => inside.test(path))).toBe(true);
    const gone = [...before.keys()].filter((path) => !files.has(path)).map((path) => `-${path}`);
    return [...gone, ...changed.map(([path]) => path).filter((path) => !inside.test(path))];
  }
  let base: Promise<ReadonlyMap<string, ImageFile>> | undefined;
  function baseFiles(): Promise<ReadonlyMap<string, ImageFile>> {
    base ??= readRegistryImage(`${registry()}/library/python:3.13-slim`).then(({ files }) => files);
    return base;
  }
  const sitePackages = /^usr\/local\/(?:lib\/python3\.\d+\/(?:dist|site)-packages(?:$|\/)|bin\/)/;

  it("install with uv what the seed installs, and the second time from the cache", async () => {
    const image = python()
      .uvPipInstall("pandas==2.2.0", "numpy")
      .runCommands("python -c 'import pandas, numpy; print(pandas.__version__)' > /out");
    expect((await built(image)).text).toBe("2.2.0");
    const again = python()
      .uvPipInstall("numpy", "pandas==2.2.0", "numpy")
      .runCommands("python -c 'import pandas, numpy; print(pandas.__version__)' > /out");
    expect((await built(again)).result.cache.ran).toBe(0);
  });

  it("take packages as people write them", async () => {
    const packages = [
      "attrs [tests] >=25, !=25.2 ; python_version<'3.0'",
      'idna~=3.4 ; python_version >= "3.9"',
      `six @ https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl#sha256=${sixHash}`,
    ];
    const see = `pip list --format=freeze | grep -E '^(attrs|six|idna)' | sed 's/=.*//' > /out`;
    expect((await built(python().pipInstall(packages).runCommands(see))).text).toBe("idna\nsix");
    expect((await built(python().uvPipInstall(packages).runCommands(see))).text).toBe("idna\nsix");
  });

  it("ask the indexes and links that they are told of", async () => {
    const [main, more]: readonly PackageIndex[] = await Promise.all([
      startPackageIndex([
        { name: "kiln-a", version: "1.0", requires: ["kiln-b"] },
        { name: "kiln-a", version: "2.0rc1", requires: ["kiln-b"] },
      ]),
      startPackageIndex([{ name: "kiln-b", version: "3.0" }]),
    ]);
    if (main === undefined || more === undefined) throw new Error("no index");
    try {
      const see = versions("kiln-a", "kiln-b");
      const pip = `--trusted-host ${main.host}`;
      const uv = `--allow-insecure-host ${main.host}`;
      const indexes = { indexUrl: main.indexUrl, extraIndexUrl: [more.indexUrl] };
      const links = { findLinks: more.linksUrl, indexUrl: main.indexUrl };
      for (const [image, version] of [
        [python().pipInstall("kiln-a", { ...indexes, extraOptions: pip }), "1.0"],
        [python().pipInstall("kiln-a", { ...links, pre: true, extraOptions: pip }), "2.0rc1"],
        [python().uvPipInstall("kiln-a", { ...indexes, extraOptions: uv }), "1.0"],
        [python().uvPipInstall("kiln-a", { ...links, pre: true, extraOptions: uv }), "2.0rc1"],
      ] as const) {
        expect((await built(image.runCommands(see))).text).toBe(`kiln-a ${version}\nkiln-b 3.0`);
      }
      expect(more.requests).toContain("GET /links/");
    } finally {
      await main.close();
      await more.close();
    }
  });

  itLong(`compile what they install, and leave nothing else in the image ${inSoak}`, async () => {
    const files = project({
      "requirements.txt": "six==1.17.0\n-c limits/c.txt\n",
      "limits/c.txt": "six<2\n",
    });
    const install = { pip: python().pipInstall("six"), uv: python().uvPipInstall("six") };
    for (const image of [
      ...Object.values(install),
      python().pipInstallFromRequirements("requirements.txt"),
      python().uvPipInstall({ requirements: ["requirements.txt"] }),
    ]) {
      expect(await residue(image, sitePackages, files)).toEqual([]);
    }
    for (const image of Object.values(install)) {
      const compiled = image.runCommands(
        "find /usr/local/lib -path '*-packages/__pycache__/six.*.pyc' | wc -l > /out",
      );
      expect((await built(compiled)).text).toBe("1");
    }
  });

  itLong(
    `use Debian's own Python, which has no \`python\` and is managed by apt, in a strict shell ${inSoak}`,
    async () => {
      const debian = python()
        .shell(["/bin/bash", "-euo", "pipefail", "-c"])
        .runCommands(
          'for p in $(type -ap python); do rm -f "$p"; done; touch "$(python3 -c \'import os; print(os.path.dirname(os.__file__))\')/EXTERNALLY-MANAGED"',
        );
      const see = "python3 -c 'import six; print(six.__version__)' > /out";
      for (const image of [
        debian.pipInstall("six==1.17.0"),
        debian.uvPipInstall("six==1.17.0"),
        debian.poetryInstallFromFile("pyproject.toml"),
      ]) {
        const { text } = await built(image.runCommands(see), { cwd: project(poetryDemo) });
        expect(text).toBe("1.17.0");
      }
    },
  );

  it("fetch a uv that was asked for, at once for two builds that want it", async () => {
    const image = (pkg: string): Image =>
      python().uvPipInstall(pkg, { uvVersion: "0.9.1", name: fresh(), env: { N: fresh() } });
    const results = await Promise.all(
      ["six", "idna"].map((pkg) => engine.build(image(pkg), { outputs: [] }).result),
    );
    expect(results.map(({ cache }) => cache.ran)).toEqual([1, 1]);
  });

  it("take uv out of its image", async () => {
    // The image as its publisher makes it: the program at /uv, and nothing else.
    const made = python()
      .uvPipInstall("uv==0.9.1")
      .runCommands("cp $(command -v uv || echo /usr/local/bin/uv) /uv");
    await engine.build(Image.fromScratch().copyFrom(made, "/uv"), {
      outputs: [registryOutput(`${registry()}/astral-sh/uv:0.9.1`)],
    }).result;
    const image = python().uvPipInstall("six", { uvFrom: "image", uvVersion: "0.9.1" });
    expect(await residue(image, sitePackages)).toEqual([]);
  });

  it("follow requirements files that include others, each beside its own", async () => {
    const files = project({
      "deps/all.txt": "# everything\n-r base/base.txt\n--constraint=../limits.txt\nidna\n",
      "deps/base/base.txt": `six==1.17.0 \\\n    # pinned\n-r "more deps.txt"\n`,
      "deps/base/more deps.txt": "\ufeffattrs\r\n-c ../../limits.txt\r\n",
      "limits.txt": "idna==3.10\nattrs==25.3.0\n",
    });
    const wanted = "six 1.17.0\nidna 3.10\nattrs 25.3.0";
    for (const image of [
      python().pipInstallFromRequirements("deps/all.txt"),
      python().uvPipInstall({ requirements: ["deps/all.txt"] }),
    ]) {
      const { text } = await built(image.runCommands(versions("six", "idna", "attrs")), { cwd: files });
      expect(text).toBe(wanted);
    }
  });

  it("keep hashes of requirements", async () => {
    const good = `six==1.17.0 \\\n    --hash=sha256:${sixHash}\nidna==3.10 --hash=sha256:${idnaHash}\n`;
    const files = project({ "good.txt": good, "bad.txt": good.replace(sixHash, idnaHash) });
    for (const install of [
      (path: string) => python().pipInstallFromRequirements(path),
      (path: string) => python().uvPipInstall({ requirements: [path], extraOptions: "--require-hashes" }),
    ]) {
      const { text } = await built(install("good.txt").runCommands(versions("six", "idna")), { cwd: files });
      expect(text).toBe("six 1.17.0\nidna 3.10");
      const error = await failure(install("bad.txt"), files);
      expect(error.logTail.join("\n")).toMatch(/hash/i);
    }
  });

  it("install what a pyproject lists", async () => {
    const files = project(demo);
    const image = python()
      .pipInstallFromPyproject("pyproject.toml", { optionalDependencies: ["web"] })
      .runCommands(versions("six", "idna"));
    expect((await built(image, { cwd: files })).text).toBe("six 1.17.0\nidna 3.10");
  });

  it("sync a locked uv project with groups and extras into a place of its own", async () => {
    const files = project(demo);
    const image = python().uvSync("./", { groups: ["docs"], extras: ["web"] });
    const see = image.runCommands(
      `command -v python > /where; ${versions("six", "idna", "attrs")}; cat /where >> /out`,
    );
    expect((await built(see, { cwd: files })).text).toBe(
      "six 1.17.0\nidna 3.10\nattrs 25.3.0\n/opt/venv/bin/python",
    );
    expect(await residue(image, /^opt(?:$|\/venv)/, files)).toEqual([]);
    // One sync on another takes away what is not asked for any more; pip of uv goes on from there.
    const plain = image.uvSync().uvPipInstall("toml");
    const list = plain.runCommands(
      "python -c 'from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))' > /out",
    );
    expect((await built(list, { cwd: files })).text).toBe("six toml");
    expect((await failure(image.pipInstall("six"), files)).logTail.at(-1)).toContain("use uvPipInstall");
  });

  it("sync a uv project without a lock file, or with one that is out of date", async () => {
    const pyproject = demo["pyproject.toml"].replace("six==1.17.0", "six==1.16.0");
    for (const [files, options] of [
      [{ "pyproject.toml": pyproject }, {}],
      [{ "pyproject.toml": pyproject, "uv.lock": demo["uv.lock"] }, { frozen: false }],
    ] as const) {
      const image = python().uvSync("app", options).runCommands(versions("six"));
      const root = project(
        Object.fromEntries(Object.entries(files).map(([path, text]) => [`app/${path}`, text])),
      );
      expect((await built(image, { cwd: root })).text).toBe("six 1.16.0");
    }
  });

  it("sync a uv workspace: what all members need, and no member", async () => {
    const member = (name: string, rest: string): string =>
      `[project]\nname = "${name}"\nversion = "0.1.0"\nrequires-python = ">=3.9"\n${rest}`;
    const files = project({
      "pyproject.toml": member(
        "root",
        `dependencies = ["api"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/old"]\n[tool.uv.sources]\napi = { workspace = true }\n`,
      ),
      "packages/api/pyproject.toml": member(
        "api",
        `dependencies = ["core", "six==1.17.0"]\n[tool.uv.sources]\ncore = { workspace = true }\n`,
      ),
      "packages/core/pyproject.toml": member("core", `dependencies = ["idna==3.10"]\n`),
      "packages/old/pyproject.toml": "no TOML",
      "packages/api/src/api.py": "print('not needed')",
    });
    const list =
      "python -c 'from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))' > /out";
    expect((await built(python().uvSync().runCommands(list), { cwd: files })).text).toBe("idna six");
    const one = python().uvSync("./", { extraOptions: "--package core" }).runCommands(list);
    expect((await built(one, { cwd: files })).text).toBe("idna");
  });

  itLong(`install a Poetry project by its lock, with groups ${inSoak}`, async () => {
    const files = project(poetryDemo);
    const image = python().poetryInstallFromFile("pyproject.toml", { with: ["docs"], without: ["lint"] });
    const list = "pip list --format=freeze | grep -E '^(attrs|six|idna)=' > /out";
    expect((await built(image.runCommands(list), { cwd: files })).text).toBe("attrs==25.3.0\nsix==1.17.0");
    expect(await residue(image, sitePackages, files)).toEqual([]);
    const fromNothing = python().poetryInstallFromFile("pyproject.toml", {
      ignoreLockfile: true,
      only: ["main", "lint"],
    });
    expect((await built(fromNothing.runCommands(list), { cwd: files })).text).toBe("idna==3.10\nsix==1.17.0");
  });

  it("say what failed: the package, the last lines, the call", async () => {
    const missing = "kiln-has-no-such-package";
    for (const image of [python().pipInstall(missing), python().uvPipInstall(missing)]) {
      const error = await failure(image);
      expect(error).toMatchObject({
        code: "ERR_KILN_STEP_FAILED",
        exitCode: 1,
        location: { file: import.meta.filename },
        step: { index: 1 },
        command: expect.stringContaining(`pip install`),
      });
      expect(error.logTail.join("\n")).toContain(missing);
    }
  });

  it("say what an image lacks", async () => {
    const bare = Image.fromOciLayout(baseLayout("busybox"));
    for (const image of [
      bare.pipInstall("six"),
      bare.uvPipInstall("six"),
      bare.pipInstallFromRequirements("requirements.txt"),
      bare.uvSync(),
      bare.poetryInstallFromFile("pyproject.toml", { ignoreLockfile: true }),
    ]) {
      const error = await failure(image, project({ ...demo, "requirements.txt": "six" }));
      expect(error).toMatchObject({ exitCode: 127, location: { file: import.meta.filename } });
      expect(error.logTail.at(-1)).toMatch(/needs Python, and this image has none/);
    }
    const noPip = python().runCommands("rm -r $(python -c 'import pip; print(pip.__path__[0])')");
    expect((await failure(noPip.pipInstall("six"))).logTail.at(-1)).toContain("needs pip");
  });

  it("say which files are missing or wrong before anything is built", async () => {
    const files = project({
      "requirements.txt": "-r gone.txt\n",
      "local.txt": "six\n-e ./package\n",
      "pyproject.toml": '[project]\nname = "x"\n',
    });
    const at = { location: { file: import.meta.filename } };
    for (const [image, code, text] of [
      [python().pipInstallFromRequirements("requirements.txt"), "ERR_KILN_FILE_NOT_FOUND", "gone.txt"],
      [python().uvPipInstall({ requirements: ["local.txt"] }), "ERR_KILN_FILE_INVALID", "local.txt:2"],
      [python().pipInstallFromPyproject("pyproject.toml"), "ERR_KILN_FILE_INVALID", "no dependencies"],
      [python().uvSync("nowhere"), "ERR_KILN_FILE_NOT_FOUND", "nowhere/pyproject.toml"],
      [python().uvSync("./", { groups: ["x"] }), "ERR_KILN_FILE_INVALID", '"x"'],
      [python().poetryInstallFromFile("pyproject.toml"), "ERR_KILN_FILE_NOT_FOUND", "poetry.lock"],
    ] as const) {
      const error = await failure(image, files);
      expect(error).toMatchObject({ code, ...at, message: expect.stringContaining(text) });
    }
  });

  itLong(`read private repositories with a token that nobody sees ${inSoak}`, async () => {
    const token = `secret-${fresh()}`;
    const served = newRepositories();
    const repository = new Repository(served, "org/private");
    for (const [path, text] of Object.entries(pythonRepositoryFiles("kiln-private", "4.2"))) {
      repository.commit(path, text);
    }
    repository.git("tag", "v4");
    let server: StepServer | undefined;
    try {
      const credentials = { username: "me", password: token };
      server = await startGitServer(served, { credentials });
      const redirect = {
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: `url.${server.url}/.insteadOf`,
        GIT_CONFIG_VALUE_0: "https://github.com/",
      };
      const install = (value: string): Image =>
        python().pipInstallPrivateRepos("github.com/org/private@v4", {
          gitUser: "me",
          secrets: [Secret.fromObject({ GITHUB_TOKEN: value })],
          env: { ...redirect, N: fresh() },
          extraOptions: "-v",
        });
      const image = install(token);
      const build = engine.build(image, { outputs: [] });
      const seen: string[] = [];
      for await (const event of build) seen.push(JSON.stringify(event));
      seen.push(JSON.stringify(await build.result), JSON.stringify(image), image.toSnapshot());
      // Served to who says name and password alone, and asked for them once without.
      expect(server.requests.some((asked) => asked.includes("/org/private"))).toBe(true);
      expect(server.refused.length).toBeGreaterThan(0);
      expect(seen.join("\n")).toContain("kiln-private-4.2");
      expect(seen.join("\n")).not.toContain(token);
      // Nothing had to be masked either: no program said it.
      expect(seen.join("\n")).not.toContain("***");
      const inside = image.runCommands(
        `grep -rl "$(printf 's%s' "${token.slice(1)}")" / --include='*' --exclude-dir=proc --exclude-dir=sys > /out; ${versions("kiln-private").replace(">", ">>")}`,
      );
      expect((await built(inside)).text).toBe("kiln-private 4.2");
      const refused = await failure(install(`wrong-${fresh()}`));
      expect(refused.logTail.join("\n")).toContain("Authentication failed");
      expect(JSON.stringify(refused)).not.toContain("wrong-");
    } finally {
      await server?.close();
      rmSync(served, { recursive: true, force: true });
    }
  });

  it("say that a private repository has no token", async () => {
    const image = python().pipInstallPrivateRepos("gitlab.com/org/private", {
      gitUser: "me",
      secrets: [Secret.fromDotenv("tokens.env")],
    });
    const files = project({ "tokens.env": "GITHUB_TOKEN=x\n" });
    const error = await failure(image, files);
    expect(error.logTail.at(-1)).toContain("GITLAB_TOKEN");
    expect(error.exitCode).toBe(1);
  });
});
