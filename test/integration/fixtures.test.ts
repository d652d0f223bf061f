import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, Image, Secret } from "../../src/index.js";
import { startAptRepository } from "./support/apt-repository.js";
import { type CertificateFiles, makeAuthority, makeServerCertificate } from "./support/certificates.js";
import { describeOneEngine } from "./support/engines.js";
import { pythonRepositoryFiles, startGitServer } from "./support/git-server.js";
import { newRepositories, Repository } from "./support/moving-sources.js";
import { startNpmIndex } from "./support/npm-index.js";
import { type PackageIndex, startPackageIndex } from "./support/package-index.js";
import {
  npmUrl,
  probeFromStep,
  probeHere,
  trusting,
  trustingThisMachine,
  unreachableFromSteps,
} from "./support/reachable.js";
import { hostFromSteps, type StepServer, withCredentials } from "./support/step-server.js";

const python = "python:3.13.3-slim-bookworm";
const node = "node:22-bookworm-slim";
const username = "kiln";
const password = randomUUID();

const pythonPackages = [
  { name: "torch", version: "2.4.0" },
  { name: "torch", version: "2.5.1", requires: ["Fast.Numbers>=1"], extras: { plots: ["plotter==3.0"] } },
  { name: "torch", version: "3.0.0", requiresPython: ">=3.99" },
  { name: "Fast.Numbers", version: "1.2", scripts: { fast: "fast_numbers:main" }, files: numbers() },
  { name: "plotter", version: "3.0" },
];

function numbers(): Record<string, string> {
  return { "fast_numbers.py": '__version__ = "1.2"\ndef main():\n    print("fast " + __version__)\n' };
}

const npmPackages = [
  { name: "@kiln/words", version: "1.0.0", files: { "index.js": 'module.exports = "words";\n' } },
  {
    name: "greeter",
    version: "1.1.0",
    dependencies: { "@kiln/words": "^1.0.0" },
    bin: { greet: "cli.js" },
    files: { "cli.js": '#!/usr/bin/env node\nconsole.log("hello", require("@kiln/words"));\n' },
  },
  { name: "greeter", version: "1.0.0" },
];

let dir: string;
let repositories: string;
let authority: CertificateFiles;
let tls: CertificateFiles;
let index: PackageIndex;
const servers: StepServer[] = [];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-fixtures-"));
  authority = makeAuthority(dir, "authority");
  tls = makeServerCertificate(dir, "server", { authority, address: hostFromSteps() });
  repositories = newRepositories();
  new Repository(repositories, "measure").commitFiles(pythonRepositoryFiles("measure", "4.2"), "first");
  index = await serving(startPackageIndex(pythonPackages));
});
afterAll(async () => {
  for (const server of servers) await server.close();
  for (const path of [dir, repositories])
    if (path !== undefined) rmSync(path, { recursive: true, force: true });
});

async function serving<Server extends StepServer>(starting: Promise<Server>): Promise<Server> {
  const server = await starting;
  servers.push(server);
  return server;
}

describeOneEngine("modern", "the fixtures of chains", (testEngine) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: testEngine.address });
  });
  afterAll(() => engine.close());

  /** What commands print, all in one step that runs anew. */
  async function said(
    image: Image,
    commands: readonly string[],
    secrets: readonly Secret[] = [],
  ): Promise<string> {
    const mark = randomUUID();
    const step = image.runCommands(`echo ${mark}; set -e; ${commands.join("; ")}`, { secrets });
    const build = engine.build(step, { cwd: dir });
    let text = "";
    for await (const event of build) if (event.type === "log") text += event.text;
    await build.result;
    // Earlier steps print as well.
    return text.slice(text.indexOf(`${mark}\n`) + mark.length + 1);
  }

  it("have roots under the names that chains use, which look like the official images", async () => {
    for (const version of ["3.10.17", "3.11.12", "3.12.10", "3.14.2"]) {
      const text = await said(Image.fromRegistry(`python:${version}-slim-bookworm`), ["python -V"]);
      expect(text).toMatch(/^Python 3\.11\.\d+\n$/);
    }
    const text = await said(Image.fromRegistry(python), [
      "printenv PATH",
      "command -v python",
      "command -v pip",
      "! ls /usr/lib/python3*/EXTERNALLY-MANAGED 2>/dev/null",
      "pip list --format=freeze",
      "python -m venv /v",
      "/v/bin/pip --version",
    ]);
    expect(text).toMatch(
      /^\/usr\/local\/bin:\/usr\/local\/sbin:.*\n\/usr\/local\/bin\/python\n\/usr\/local\/bin\/pip\npip==.*\nsetuptools==.*\npip .* from \/v\//,
    );
    const debian = Image.fromRegistry("debian:bookworm-slim");
    expect(await said(debian, ["! command -v python3", "cat /etc/debian_version"])).toMatch(/^12\./);
    for (const name of [node, "node:22.12.0-bookworm-slim"]) {
      const versions = await said(Image.fromRegistry(name), ["node --version", "npm --version"]);
      expect(versions).toBe("v22.12.0\n10.9.0\n");
    }
  });

  /**
   * The same installations for pip and for uv, each into a folder of its own. Returns what was asked of an empty index
   * beside that of the extra.
   */
  async function installs(image: Image, install: string, trust: string): Promise<readonly string[]> {
    const empty = await serving(startPackageIndex([]));
    const two = `--index-url ${empty.indexUrl} --extra-index-url ${index.indexUrl}`;
    const text = await said(image, [
      `${install} ${trust} --target /a --index-url ${index.indexUrl} 'torch[plots]'`,
      "PYTHONPATH=/a python -c 'import fast_numbers, plotter, torch as t; print(1, t.__version__, plotter.__version__)'",
      "PYTHONPATH=/a /a/bin/fast",
      `${install} ${trust} --target /b ${two} 'torch<2.5'`,
      "PYTHONPATH=/b python -c 'import torch; print(2, torch.__version__)'",
      `${install} ${trust} --target /c --no-index --find-links ${index.linksUrl} torch`,
      "PYTHONPATH=/c python -c 'import torch, fast_numbers as f; print(3, torch.__version__, f.__version__)'",
    ]);
    expect(text).toBe("1 2.5.1 3.0\nfast 1.2\n2 2.4.0\n3 2.5.1 1.2\n");
    expect(index.requests).toContain("GET /links/");
    return empty.requests;
  }

  it("let pip install from an index, a second index and a page of links, with extras and by hash", async () => {
    const pip = "python -m pip install --quiet --root-user-action=ignore";
    const asked = await installs(Image.fromRegistry(python), pip, `--trusted-host ${index.host}`);
    expect(asked).toContain("GET /simple/torch/");
  });

  it("let uv install from them as well, a real one that pip upgraded itself for", async (ctx) => {
    const reason = await unreachableFromSteps("pypi", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const upgrade = "pip install --root-user-action=ignore --no-cache-dir --upgrade";
    const image = trustingThisMachine(Image.fromRegistry(python)).runCommands(
      `${upgrade} pip wheel uv && ${upgrade} setuptools && test "$(pip --version | cut -c5-6)" -gt 23`,
    );
    const uv = "uv pip install --quiet --no-cache --python $(command -v python)";
    // uv asks extra indexes first, and no other once one has the name.
    expect(await installs(image, uv, "")).toEqual([]);
    const secure = await serving(startPackageIndex(pythonPackages, { tls }));
    const torch = 'python -c "import torch; print(torch.__version__)"';
    const trusted = trusting(image, authority.cert);
    expect(await said(trusted, [`${uv} --index-url ${secure.indexUrl} torch`, torch])).toBe("2.5.1\n");
  });

  it("let npm install from an index, with scopes, dependencies and commands", async () => {
    const npm = await serving(startNpmIndex(npmPackages));
    const install = `npm install --registry ${npm.url} --prefix /app`;
    const image = Image.fromRegistry(node);
    expect(await said(image, [`${install} greeter@1.1 >/dev/null`, "/app/node_modules/.bin/greet"])).toBe(
      "hello words\n",
    );
    const lock = await said(image, [`${install} greeter >/dev/null`, "cat /app/package-lock.json"]);
    expect(lock).toContain('"version": "1.0.0"');
    expect(lock).toContain("sha512-");
  });

  it("ask for a name and a password, and serve TLS by an authority that steps must be told of", async () => {
    const options = { tls, credentials: { username, password } };
    const secure = await serving(startPackageIndex(pythonPackages, options));
    const npm = await serving(startNpmIndex(npmPackages, options));
    const pip = "python -m pip install --quiet --root-user-action=ignore --retries 0";
    const secrets = [Secret.fromObject({ INDEX: withCredentials(secure.indexUrl, username, password) })];
    const doubted = said(Image.fromRegistry(python), [`${pip} --index-url "$INDEX" torch`], secrets);
    await expect(doubted).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
    expect(secure.requests).toEqual([]);
    const image = trusting(Image.fromRegistry(python), authority.cert);
    const torch = 'python -c "import torch; print(torch.__version__)"';
    expect(await said(image, [`${pip} --index-url "$INDEX" torch`, torch], secrets)).toBe("2.5.1\n");
    const unnamed = said(image, [`${pip} --index-url ${secure.indexUrl} --no-input torch`]);
    await expect(unnamed).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
    expect(secure.refused).toContain("GET /simple/torch/");
    const token = [Secret.fromObject({ NPM_TOKEN: password })];
    const commands = [
      `printf '%s\\n' 'registry=${npm.url}/' '${npm.url.replace("https:", "")}/:_authToken=\${NPM_TOKEN}' > /tmp/npmrc`,
      "npm install --userconfig /tmp/npmrc --prefix /app greeter@1.1 >/dev/null",
      "/app/node_modules/.bin/greet",
    ];
    const told = trusting(Image.fromRegistry(node), authority.cert);
    expect(await said(told, commands, token)).toBe("hello words\n");
  });

  it("say whether and why not steps reach an index, as this process does", async (ctx) => {
    expect(await probeFromStep(index.indexUrl, testEngine)).toBeUndefined();
    expect(await probeHere(index.indexUrl)).toBeUndefined();
    const gone = await startPackageIndex([]);
    await gone.close();
    expect(await probeHere(gone.indexUrl)).toMatch(/cannot be reached: .*ECONNREFUSED/);
    expect(await probeFromStep(gone.indexUrl, testEngine)).toMatch(/do not reach .*refused/);
    const secure = await serving(startPackageIndex([], { tls }));
    expect(await probeFromStep(secure.indexUrl, testEngine)).toMatch(/CERTIFICATE_VERIFY_FAILED/);
    const reason = await unreachableFromSteps("npm", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const image = trustingThisMachine(Image.fromRegistry(node));
    expect(await said(image, [`npm view --registry ${npmUrl()} npm@10.9.0 name`])).toMatch(/^npm$/m);
  });

  it("let git clone, and pip build from a repository, with a token and over TLS", async () => {
    const git = await serving(startGitServer(repositories));
    const options = { tls, credentials: { username, password } };
    const secure = await serving(startGitServer(repositories, options));
    const image = trusting(
      Image.fromRegistry(python).aptInstall("git", "curl", { recommends: false }),
      authority.cert,
    );
    const clone = [`git clone --quiet ${git.url}/measure /src`, "git -C /src log --format=%s", "ls /src"];
    expect(await said(image, clone)).toBe("first\nbackend.py\nmeasure\npyproject.toml\n");
    const secrets = [Secret.fromObject({ TOKEN: password })];
    const address = secure.url.replace("https://", `https://${username}:$TOKEN@`);
    const install = [
      `python3 -m pip install --quiet --root-user-action=ignore "git+${address}/measure"`,
      'python -c "import measure; print(measure.__version__)"',
      `curl -sS -o /dev/null -w '%{http_code}' ${secure.url}/measure/HEAD`,
    ];
    expect(await said(image, install, secrets)).toBe("4.2\n401");
    expect(git.requests.some((line) => line.startsWith("POST /measure/git-upload-pack"))).toBe(true);
    const nobody = said(image, [`GIT_TERMINAL_PROMPT=0 git clone ${secure.url}/measure /src`]);
    await expect(nobody).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
  });

  it("let apt install from a repository, over TLS too", async () => {
    const packages = [
      {
        name: "greet",
        version: "1.0",
        depends: "greet-data",
        files: { "usr/bin/greet": "#!/bin/sh\ncat /usr/share/greet\n" },
      },
      { name: "greet-data", version: "2.0", files: { "usr/share/greet": "hello\n" } },
    ];
    const image = Image.fromRegistry("debian:bookworm-slim");
    const commands = (source: string): string[] => [
      `echo '${source}' > /etc/apt/sources.list`,
      "apt-get -qq update",
      "apt-get -qq install -y greet >/dev/null 2>&1",
      "greet",
    ];
    const plain = await serving(startAptRepository(packages));
    expect(await said(image, commands(plain.source))).toBe("hello\n");
    const secure = await serving(startAptRepository(packages, { tls }));
    await expect(said(image, commands(secure.source))).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
    });
    // apt looks at its own setting alone.
    const setting = 'echo "Acquire::https::CAInfo \\"$SSL_CERT_FILE\\";" > /etc/apt/apt.conf.d/authorities';
    expect(await said(trusting(image, authority.cert), [setting, ...commands(secure.source)])).toBe(
      "hello\n",
    );
  });
});
