import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildOptions, Engine, Image, localDir, registry as registryOutput } from "../../src/index.js";
import { type AptRepository, startAptRepository } from "./support/apt-repository.js";
import { type CertificateFiles, makeAuthority, makeServerCertificate } from "./support/certificates.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { startGitServer } from "./support/git-server.js";
import { newRepositories, Repository } from "./support/moving-sources.js";
import { startNpmIndex } from "./support/npm-index.js";
import { type PackageIndex, startPackageIndex } from "./support/package-index.js";
import { authoritiesFile, unreachableFromSteps } from "./support/reachable.js";
import { readRegistryImage } from "./support/registry-image.js";
import { hostFromSteps, type StepServer } from "./support/step-server.js";

// Servers whose certificates a private authority signed stand in for a network that reads TLS traffic.

let dir: string;
let repositories: string;
let authority: CertificateFiles;
/** The private authority, and what this machine trusts to reach the public indexes. */
let bundle: string;
let index: PackageIndex;
let apt: AptRepository;
let npm: StepServer;
let git: StepServer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-ca-"));
  authority = makeAuthority(dir, "authority");
  const tls = makeServerCertificate(dir, "server", { authority, address: hostFromSteps() });
  const machine = authoritiesFile() ?? "/etc/ssl/certs/ca-certificates.crt";
  bundle = join(dir, "bundle.pem");
  writeFileSync(bundle, `${readFileSync(authority.cert, "utf8")}\n${readFileSync(machine, "utf8")}`);
  index = await startPackageIndex([{ name: "inspected", version: "1.0" }], { tls });
  apt = await startAptRepository(
    [{ name: "kiln-tool", version: "1.0", files: { "usr/bin/kiln-tool": "#!/bin/sh\necho apt\n" } }],
    { tls },
  );
  npm = await startNpmIndex(
    [
      {
        name: "inspected",
        version: "1.0.0",
        bin: { inspected: "index.js" },
        files: { "index.js": '#!/usr/bin/env node\nconsole.log("npm");\n' },
      },
    ],
    { tls },
  );
  repositories = newRepositories();
  new Repository(repositories, "code").commitFiles({ "README.md": "git\n" }, "first");
  git = await startGitServer(repositories, { tls });
});
afterAll(async () => {
  for (const server of [index, apt, npm, git]) await server?.close();
  for (const path of [dir, repositories])
    if (path !== undefined) rmSync(path, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2, 12);

describeOneEngine("modern", "certificates for steps", (testEngine) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: testEngine.address, env: {}, caBundle: bundle });
  });
  afterAll(() => engine.close());

  /** Builds a chain, and reads one file of it: to bring the rest over would take longer than the build. */
  async function built(image: Image, options: BuildOptions = {}) {
    const result = await engine.build(image, { cwd: dir, ...options }).result;
    const out = mkdtempSync(join(dir, "out-"));
    const only = Image.fromScratch().copyFrom(image, "/out");
    await engine.build(only, { cwd: dir, ...options, outputs: [localDir(out)] }).result;
    return { result, read: (path: string): string => readFileSync(join(out, path), "utf8").trim() };
  }

  const python = (): Image => Image.fromRegistry("python:3.12.10-slim-bookworm");

  it("let pip, Python, apt, curl and git through, and leave nothing in the image", async () => {
    const image = python()
      .pipInstall("inspected", { indexUrl: index.indexUrl })
      .runCommands(
        `echo 'deb [trusted=yes] ${apt.source.replace(/^deb (?:\[[^\]]*\] )?/, "")}' > /etc/apt/sources.list.d/kiln.list; rm -f /etc/apt/sources.list.d/debian.sources`,
      )
      .aptInstall("kiln-tool")
      .runCommands("kiln-tool > /out");
    const tools = python()
      .aptInstall("git", "curl")
      .runCommands(
        `git clone -q ${git.url}/code /code && cat /code/README.md > /out`,
        `curl -sSf ${index.indexUrl}/ | grep -c inspected >> /out`,
        `python -c "import urllib.request as u; u.urlopen('${index.indexUrl}/'); print('python')" >> /out`,
      );
    const { read } = await built(image);
    expect(read("out")).toBe("apt");
    expect((await built(tools)).read("out")).toBe("git\n1\npython");
    const ref = `${registry()}/ca/${fresh()}:1`;
    await engine.build(image, { cwd: dir, outputs: [registryOutput(ref)] }).result;
    const { config, files } = await readRegistryImage(ref);
    expect(JSON.stringify(config.config)).not.toMatch(/CERT|CA_BUNDLE|CAINFO|APT_CONFIG/);
    expect([...files.keys()].filter((path) => /^run\/kiln|kiln.*\.pem/.test(path))).toEqual([]);
  });

  it("let uv through", async (ctx) => {
    const reason = await unreachableFromSteps("pypi", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const image = python()
      .uvPipInstall("inspected", { indexUrl: index.indexUrl })
      .runCommands('python -c "import inspected; print(inspected.__version__)" > /out');
    expect((await built(image)).read("out")).toBe("1.0");
  });

  it("let npm through", async () => {
    const image = Image.node("22")
      .npmInstall("inspected@1.0.0", { registry: npm.url })
      .runCommands("inspected > /out");
    expect((await built(image)).read("out")).toBe("npm");
  });

  it("are those of the step, or none, before those of the build; and without them it fails", async () => {
    const ask = `: ${fresh()}; python -c "import urllib.request as u; u.urlopen('${index.indexUrl}/')" && echo yes > /out`;
    await using plain = await Engine.connect({ host: testEngine.address, env: {} });
    await expect(plain.build(python().runCommands(ask), { cwd: dir }).result).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      logTail: expect.arrayContaining([expect.stringContaining("CERTIFICATE_VERIFY_FAILED")]),
    });
    await expect(built(python().runCommands(ask, { caBundle: false }))).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
    });
    const own = await plain.build(python().runCommands(ask, { caBundle: authority.cert }), { cwd: dir })
      .result;
    expect(own.steps.at(-1)?.outcome).toBe("ran");
  });

  it("are no part of the key by their content", async () => {
    const file = join(dir, `${fresh()}.pem`);
    const image = python().runCommands(`head -c 27 "$SSL_CERT_FILE" > /out; : ${fresh()}`);
    writeFileSync(file, readFileSync(bundle));
    const first = await built(image, { caBundle: file });
    expect(first.read("out")).toBe("-----BEGIN CERTIFICATE-----");
    writeFileSync(file, readFileSync(authority.cert));
    const second = await built(image, { caBundle: file });
    expect(second.result.cache.ran).toBe(0);
  });

  it("must be there, and be certificates", async () => {
    const image = python().runCommands("true");
    await expect(built(image, { caBundle: "missing.pem" })).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
    });
    writeFileSync(join(dir, "wrong.pem"), "no certificate\n");
    const step = python().runCommands("true", { caBundle: "wrong.pem" });
    await expect(built(step)).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      message: expect.stringContaining("holds no PEM certificate"),
      location: { file: expect.stringContaining("ca-bundle.test.ts") },
    });
  });
});
