import { createPrivateKey, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildOptions,
  type BuildResult,
  Engine,
  Image,
  localDir,
  registry as registryOutput,
  Secret,
} from "../../src/index.js";
import { registryUp } from "../../src/provision/index.js";
import { makeAuthority } from "./support/certificates.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { startGitServer } from "./support/git-server.js";
import { newRepositories, Repository } from "./support/moving-sources.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";
import { type PackageIndex, startPackageIndex } from "./support/package-index.js";
import { authoritiesFile, unreachableFromSteps } from "./support/reachable.js";
import { readRegistryImage } from "./support/registry-image.js";
import type { StepServer } from "./support/step-server.js";
import { startTokenServer, type TokenServer, tokenNames } from "./support/token-server.js";

// The chains of Modal's own pages, built for real: bases under their own names, heavy packages as stand-ins of the same
// names from an index that the test serves, repositories from a server of the test's.

let dir: string;
let repositories: string;
let index: PackageIndex;
let git: StepServer;
let tokens: TokenServer;
let own: OwnPrefix;
let privateHost: string;
const credentials = { username: "kiln", password: randomUUID() };

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-seed-"));
  index = await startPackageIndex([
    { name: "torch", version: "2.5.1" },
    { name: "torch", version: "3.0.0" },
    { name: "transformers", version: "4.46.0" },
    { name: "diffusers", version: "0.31.0", extras: { torch: ["torch>=1.4"] } },
    { name: "bitsandbytes", version: "0.44.1" },
  ]);
  repositories = newRepositories();
  new Repository(repositories, "agi").commitFiles({ "README.md": "soon\n" }, "first");
  git = await startGitServer(repositories);
  const signer = makeAuthority(dir, "signer");
  tokens = await startTokenServer({
    ...credentials,
    key: createPrivateKey(readFileSync(signer.key, "utf8")),
    certificate: readFileSync(signer.cert, "utf8"),
  });
  own = ownPrefix();
  const auth = { kind: "token", ...tokenNames, realm: tokens.realm, certificates: signer.cert } as const;
  privateHost = (await registryUp({ prefix: own.path, listenOn: "127.0.0.1", auth })).host;
});
afterAll(async () => {
  await index?.close();
  await git?.close();
  tokens?.close();
  await own?.remove();
  for (const path of [dir, repositories])
    if (path !== undefined) rmSync(path, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2, 12);

describeOneEngine("older", "the chains of Modal's pages", (testEngine) => {
  const { name, address } = testEngine;
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, env: {}, caBundle: authoritiesFile() });
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

  const ran = ({ steps }: BuildResult) =>
    steps.filter(({ outcome }) => outcome === "ran").map(({ id }) => id);
  const indexOptions = { indexUrl: "", extraOptions: "" };
  beforeAll(() => {
    indexOptions.indexUrl = index.indexUrl;
  });
  const forPip = () => ({ ...indexOptions, extraOptions: `--trusted-host ${index.host}` });
  const forUv = () => ({ ...indexOptions, extraOptions: `--allow-insecure-host ${index.host}` });

  it("S1: git, torch, a variable and a clone, on Debian with Python", async (ctx) => {
    const reason = await unreachableFromSteps("pypi", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const image = Image.debianSlim({ pythonVersion: "3.13" })
      .aptInstall("git")
      .uvPipInstall("torch<3", forUv())
      .env({ HALT_AND_CATCH_FIRE: "0" })
      .runCommands(`git clone ${git.url}/agi`)
      .runCommands(
        'python -c "import torch; print(torch.__version__)" > /out; echo "$HALT_AND_CATCH_FIRE" >> /out; gcc --version | head -1 >> /out; pwd >> /out; cat /agi/README.md >> /out',
      );
    const first = await built(image);
    expect(first.read("out")).toMatch(/^2\.5\.1\n0\ngcc .*\n\/\nsoon$/);
    const again = await built(image);
    expect(ran(again.result)).toEqual([]);
    const other = await built(image.env({ HALT_AND_CATCH_FIRE: "1" }));
    expect(ran(other.result)).toEqual([]);
  }, 400_000);

  it("S2, S9, S10, S11: the bare base, packages, a variable, commands", async (ctx) => {
    const reason = await unreachableFromSteps("pypi", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const image = Image.debianSlim()
      .aptInstall("git", "curl")
      .env({ PORT: "6443" })
      .runCommands("git --version > /out", "curl --version | head -1 >> /out", 'echo "$PORT" >> /out');
    const { read } = await built(image);
    expect(read("out")).toMatch(/^git version .*\ncurl .*\n6443$/);
    const small = await built(
      Image.debianSlim({ buildTools: false }).runCommands("! command -v gcc; uv --version > /out"),
    );
    expect(small.read("out")).toMatch(/^uv /);
  }, 400_000);

  it("S4, S5: an image of a registry, and a Dockerfile that is built on", async () => {
    const ref = `${registry()}/seed/${fresh()}:1`;
    await engine.build(Image.fromRegistry("busybox:1.36").runCommands("echo base > /base"), {
      outputs: [registryOutput(ref)],
    }).result;
    expect((await built(Image.fromRegistry(ref).runCommands("cp /base /out"))).read("out")).toBe("base");
    writeFileSync(join(dir, "Dockerfile"), `FROM ${ref}\nENV FROM_FILE=yes\nWORKDIR /work\nRUN pwd > here\n`);
    const extended = Image.fromDockerfile("Dockerfile").runCommands('echo "$FROM_FILE $(cat here)" > /out');
    expect((await built(extended)).read("out")).toBe("yes /work");
  });

  it("S6: pandas and numpy with uv, for real", async (ctx) => {
    const reason = await unreachableFromSteps("pypi", testEngine);
    if (reason !== undefined) ctx.skip(reason);
    const image = Image.fromRegistry("python:3.12.10-slim-bookworm")
      .uvPipInstall("pandas==2.2.0", "numpy")
      .runCommands('python -c "import pandas, numpy; print(pandas.__version__, numpy.__version__)" > /out');
    expect((await built(image)).read("out")).toMatch(/^2\.2\.0 \d/);
  });

  it("S7, S8: pip with extras, and lint that asks for pins", async () => {
    const image = Image.fromRegistry("python:3.12.10-slim-bookworm").pipInstall(
      ...(["diffusers[torch]", "transformers"] as const),
      forPip(),
    );
    const shown = image.runCommands("pip list --format=freeze > /out");
    expect((await built(shown)).read("out").split("\n")).toEqual(
      expect.arrayContaining(["diffusers==0.31.0", "torch==3.0.0", "transformers==4.46.0"]),
    );
    const unpinned = image.lint().filter(({ rule }) => rule === "unpinned-package");
    expect(unpinned.length).toBeGreaterThan(0);
    const pinned = Image.fromRegistry("python:3.12.10-slim-bookworm").pipInstall(
      "transformers==4.46.0",
      forPip(),
    );
    expect(pinned.lint().filter(({ rule }) => rule === "unpinned-package")).toEqual([]);
  });

  it("S14, S15, S16: a directory, a file and a Python module, copied in", async () => {
    mkdirSync(join(dir, "aws"), { recursive: true });
    mkdirSync(join(dir, "local_module"), { recursive: true });
    writeFileSync(join(dir, "aws/config"), "[default]\n");
    writeFileSync(join(dir, "settings.json"), "{}\n");
    writeFileSync(
      join(dir, "local_module/__init__.py"),
      "def greet():\n    return 'hello from the module'\n",
    );
    writeFileSync(join(dir, "local_module/data.txt"), "not Python\n");
    const image = Image.fromRegistry("python:3.12.10-slim-bookworm")
      .addLocalDir("aws", "/root/.aws", { copy: true })
      .addLocalFile("settings.json", "/etc/app/", { copy: true })
      .addLocalPythonSource("local_module", { copy: true })
      .runCommands(
        'cat /root/.aws/config /etc/app/settings.json > /out; ls /root/local_module >> /out; python -c "import local_module; print(local_module.greet())" >> /out',
      );
    expect((await built(image)).read("out")).toBe("[default]\n{}\n__init__.py\nhello from the module");
  });

  it("S17: a private registry by a secret's name and password", async () => {
    const ref = `${privateHost}/private/base:1`;
    const allowed = Secret.fromObject({
      REGISTRY_USERNAME: credentials.username,
      REGISTRY_PASSWORD: credentials.password,
    });
    await using owner = await Engine.connect({
      host: address,
      env: {},
      credentials: async (host) =>
        host === privateHost ? { username: credentials.username, secret: credentials.password } : undefined,
    });
    const base = Image.fromRegistry("busybox:1.36").runCommands(`echo private > /base; : ${fresh()}`);
    await owner.build(base, { outputs: [registryOutput(ref)] }).result;
    const chain = (secret?: Secret): Image =>
      Image.fromRegistry(ref, secret === undefined ? {} : { secret }).runCommands(
        `cp /base /out; : ${fresh()}`,
      );
    await expect(built(chain())).rejects.toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
    const wrong = Secret.fromObject({
      REGISTRY_USERNAME: credentials.username,
      REGISTRY_PASSWORD: "wrong-password",
    });
    const refusal: unknown = await built(chain(wrong)).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
      location: { file: expect.stringContaining("seed-chains.test.ts") },
    });
    expect(JSON.stringify(refusal)).not.toContain("wrong-password");
    const image = chain(allowed);
    expect((await built(image)).read("out")).toBe("private");
    expect(image.toSnapshot()).not.toContain(credentials.password);
  });

  it("S18: ECR and Artifact Registry take their secrets' own keys, and say what is missing", async () => {
    const ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1";
    const gcp = "us-docker.pkg.dev/project/repository/app:1";
    const none = Secret.fromObject({ NOTHING: "x" });
    for (const [start, keys] of [
      [() => Image.fromAwsEcr(ecr, { secret: none }), "AWS_ACCESS_KEY_ID"],
      [() => Image.fromGcpArtifactRegistry(gcp, { secret: none }), "SERVICE_ACCOUNT_JSON"],
    ] as const) {
      expect(start).toThrow(
        expect.objectContaining({
          code: "ERR_KILN_INVALID_ARGUMENT",
          message: expect.stringContaining(keys),
          location: expect.objectContaining({ file: expect.stringContaining("seed-chains.test.ts") }),
        }),
      );
    }
    const image = Image.fromGcpArtifactRegistry(gcp, {
      secret: Secret.fromObject({ SERVICE_ACCOUNT_JSON: "/a/path.json" }),
    });
    await expect(engine.build(image).result).rejects.toMatchObject({
      code: expect.stringMatching(
        /^ERR_KILN_(?:UNAUTHORIZED|SECRET_NOT_FOUND|INVALID_ARGUMENT|IMAGE_NOT_FOUND)/,
      ),
      location: { file: expect.stringContaining("seed-chains.test.ts") },
    });
  });

  it("S20: a package on a device", async (ctx) => {
    const image = Image.fromRegistry("python:3.12.10-slim-bookworm")
      .pipInstall("bitsandbytes", { ...forPip(), gpu: "vendor.example/gpu=0" })
      .runCommands(
        'python -c "import bitsandbytes as b; print(b.__version__)" > /out; ls /dev/kiln-gpu0 >> /out || true',
      );
    if (name !== "modern") {
      const error: unknown = await built(image).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      ctx.skip((error as Error).message);
    }
    const plan = await engine.plan(image);
    expect(plan.toSnapshot()).toContain("vendor.example/gpu=0");
    expect((await built(image)).read("out")).toBe("0.44.1");
    const model = Image.fromRegistry("busybox:1.36").runCommands("true", { gpu: "H100" });
    await expect(engine.build(model).result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      hint: expect.stringContaining("vendor.example/gpu=0"),
    });
  });

  it("S21, S22, S23: what changes reruns what follows; forcing does without a change", async () => {
    const tag = fresh();
    const chain = (middle: string, forceBuild = false): Image =>
      Image.fromRegistry("busybox:1.36")
        .runCommands(`: ${tag} one`)
        .runCommands(`: ${tag} ${middle}`, { forceBuild })
        .runCommands(`: ${tag} three; cat /proc/sys/kernel/random/uuid > /out`);
    const first = await built(chain("two"));
    expect(ran((await built(chain("two"))).result)).toEqual([]);
    expect(ran((await built(chain("2"))).result)).toEqual(["runCommands", "runCommands"]);
    const forced = await built(chain("two", true));
    expect(ran(forced.result)).toEqual(["runCommands", "runCommands"]);
    expect(forced.read("out")).not.toBe(first.read("out"));
    await using all = await Engine.connect({ host: address, env: { MODAL_FORCE_BUILD: "1" } });
    const { cache } = await all.build(chain("two")).result;
    expect(cache.steps.filter(({ outcome }) => outcome === "ran")).toHaveLength(3);
  });

  it("S26: an eStargz image, or the reason why the daemon makes none", async (ctx) => {
    const ref = `${registry()}/seed/${fresh()}:1`;
    const output = registryOutput(ref, {
      compression: "estargz",
      forceCompression: true,
      ociMediaTypes: true,
    });
    const image = Image.fromRegistry("busybox:1.36").runCommands("echo lazy > /lazy");
    const error: unknown = await engine.build(image, { outputs: [output] }).result.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (name === "modern" && error !== undefined) {
      expect(error).toMatchObject({ code: "ERR_KILN_ESTARGZ_CRASHES_DAEMON" });
      ctx.skip((error as Error).message);
    }
    expect(error).toBeUndefined();
    const { manifest } = await readRegistryImage(ref);
    for (const { annotations } of manifest.layers) {
      expect(annotations).toHaveProperty(["containerd.io/snapshot/stargz/toc.digest"]);
    }
  });
});
