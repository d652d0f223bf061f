import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checkOutputs, stampOutputs } from "../../src/engine/outputs/output-checks.js";
import { RegistryAccess } from "../../src/engine/registries/registry-access.js";
import { dockerImage, Engine, Image, localDir, ociLayout } from "../../src/index.js";
import { engineDown, engineStatus, engineUp, type RunningEngine } from "../../src/provision/index.js";
import { inspectDockerImage, removeDockerImage } from "./support/docker-image.js";
import { baseLayout, engines, registry } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";

const prefix = fileURLToPath(new URL("../../.kiln", import.meta.url));
let dir: string;
let classic: RunningEngine;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-provision-"));
  classic = await engineUp({ prefix, kind: "classic", mirror: registry() });
});

afterAll(async () => {
  await engineDown({ prefix, kind: "classic" });
  rmSync(dir, { recursive: true, force: true });
});

it("reuses an engine that runs, and lists those that do", async () => {
  expect(await engineUp({ prefix, kind: "classic" })).toEqual({ ...classic, reused: true });
  const running = await engineStatus({ prefix });
  expect(running.map(({ kind }) => kind)).toEqual(["modern", "older", "classic"]);
  expect(running.map(({ address }) => address)).toEqual(
    expect.arrayContaining(engines().map(({ address }) => address)),
  );
});

it("a Docker with the classic image store is recognised, refused by name and with how to switch", async () => {
  await using engine = await Engine.connect({ host: classic.address });
  expect((await engine.facts()).store).toBe("classic");
  const build = engine.build(Image.fromRegistry("busybox:1.36"), { outputs: [ociLayout(join(dir, "oci"))] });
  await expect(build.result).rejects.toMatchObject({
    code: "ERR_KILN_CLASSIC_STORE",
    message: expect.stringContaining("cannot write the output oci-layout"),
    hint: expect.stringContaining("containerd-snapshotter"),
  });
  const layout = engine.build(Image.fromOciLayout(baseLayout("busybox")).runCommands("true"));
  await expect(layout.result).rejects.toMatchObject({ code: "ERR_KILN_CLASSIC_STORE" });
});

it("a Docker with the classic image store still gives files, from a base under its real name", async () => {
  await using engine = await Engine.connect({ host: classic.address });
  const image = Image.fromRegistry("busybox:1.36").runCommands("echo classic > /made");
  await engine.build(image, { outputs: [localDir(join(dir, "files"))] }).result;
  expect(readFileSync(join(dir, "files", "made"), "utf8")).toBe("classic\n");
});

it("a Docker with the classic image store gets images with their config, but no options of layers", async () => {
  await using engine = await Engine.connect({ host: classic.address });
  const image = Image.fromRegistry("busybox:1.36")
    .runCommands("echo classic > /made-for-store")
    .env({ FROM_KILN: "yes" })
    .entrypoint(["/bin/cat", "/made-for-store"]);
  const name = `kiln-classic:${Date.now()}`;
  const outputs = [dockerImage([name, `${name}-too`])];
  const record = await engine.build(image, { outputs }).result;
  const stored = await inspectDockerImage(classic.address, `${name}-too`);
  // A store that earlier runs left has their names for the same image.
  expect(stored?.RepoTags).toEqual(expect.arrayContaining([name, `${name}-too`]));
  expect(stored?.Config.Env).toContain("FROM_KILN=yes");
  expect(stored?.Config.Entrypoint).toEqual(["/bin/cat", "/made-for-store"]);
  expect(stored?.RootFS.Layers.length).toBe(2);
  expect(record.digest).toBe(stored?.Id);
  const context = {
    daemon: { address: classic.address },
    registries: new RegistryAccess({ env: {} }),
    images: { kind: "directory", dir },
    publish: undefined,
  } as const;
  const { stamps } = await stampOutputs(outputs, record.outputs, context);
  expect(await checkOutputs(outputs, stamps, context)).toBeUndefined();
  await removeDockerImage(classic.address, name);
  expect(await checkOutputs(outputs, stamps, context)).toBe(`Docker has no ${name} any more`);
  await expect(
    engine.build(image, { outputs: [dockerImage(name, { compression: "zstd" })] }).result,
  ).rejects.toMatchObject({
    code: "ERR_KILN_CLASSIC_STORE",
    hint: expect.stringContaining("containerd-snapshotter"),
  });
});

it("stops what it started and starts it again with its cache", async () => {
  expect(await engineDown({ prefix, kind: "classic" })).toBe(true);
  expect(await engineDown({ prefix, kind: "classic" })).toBe(false);
  expect((await engineStatus({ prefix })).map(({ kind }) => kind)).toEqual(["modern", "older"]);
  await expect(Engine.connect({ host: classic.address })).rejects.toMatchObject({
    code: "ERR_KILN_NO_DAEMON",
  });
  classic = await engineUp({ prefix, kind: "classic", mirror: registry() });
  expect(classic.reused).toBe(false);
  await using engine = await Engine.connect({ host: classic.address });
  const image = Image.fromRegistry("busybox:1.36").runCommands("echo classic > /made");
  expect((await engine.build(image).result).cache.ran).toBe(0);
});

it("is up, shown and stopped by the command line", async () => {
  const up = await runCli(["engine", "up", "--kind", "classic", "--prefix", prefix, "--json"]);
  expect(JSON.parse(up.stdout)).toMatchObject({ kind: "classic", address: classic.address, reused: true });
  const status = await runCli(["engine", "status", "--prefix", prefix]);
  expect(status.stdout).toContain(`classic  ${classic.address}`);
  const wrong = await runCli(["engine", "up", "--kind", "newest", "--prefix", prefix]);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("modern, older, classic");
});

it("says what to run instead where it cannot set up an engine", async () => {
  const machine = {
    platform: "linux",
    arch: "x64",
    uid: 1000,
    findCommand: () => Promise.resolve("/usr/bin/x"),
    readText: () => Promise.resolve(undefined),
    list: () => Promise.resolve([]),
  };
  const up = (changes: object) =>
    engineUp({ prefix: join(dir, "other"), machine: { ...machine, ...changes } });
  await expect(up({})).rejects.toMatchObject({
    code: "ERR_KILN_ENGINE_SETUP",
    message: expect.stringContaining("root"),
    hint: expect.stringMatching(/sudo.*docker run -d --privileged.*KILN_HOST/s),
  });
  await expect(up({ platform: "darwin" })).rejects.toThrow(/needs Linux/);
  await expect(up({ uid: 0, findCommand: () => Promise.resolve(undefined) })).rejects.toThrow(
    /apt-get is not on this machine/,
  );
  await expect(up({ uid: 0 })).rejects.toThrow(/not Debian/);
  await expect(engineUp({ prefix: `/tmp/${"x".repeat(120)}` })).rejects.toThrow(/too long/);
});

it("the quickstart refuses a Docker with the classic store, goes on to its own engine, and shows what the second build cost", async () => {
  const { code, stdout, stderr } = await runCli(["quickstart", "--prefix", prefix, "--progress", "plain"], {
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: {
      KILN_HOST: "",
      BUILDKIT_HOST: "",
      DOCKER_HOST: `unix://${classic.socket}`,
      XDG_DATA_HOME: dir,
      KILN_QUICKSTART_LAYOUT: baseLayout("python"),
    },
  });
  expect(stderr).toContain("classic image store");
  expect(stderr).toContain("containerd-snapshotter");
  expect(stderr).toContain(`engines/modern/docker.sock`);
  expect(stderr).toContain("the second build took");
  expect(stderr).toContain("0 steps ran, 4 cached");
  expect(stdout).toContain("Hello from Kiln: Python 3.11");
  expect(code).toBe(0);
});

it("the quickstart goes on to its own engine where a socket is left that nobody listens at", async () => {
  const socket = join(dir, "dead.sock");
  const listen = `require("node:net").createServer().listen(${JSON.stringify(socket)}, () => console.log("up"))`;
  const listener = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"] });
  await once(listener.stdout, "data");
  listener.kill("SIGKILL");
  await once(listener, "exit");
  const { code, stderr } = await runCli(["quickstart", "--prefix", prefix, "--progress", "plain"], {
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: {
      KILN_HOST: "",
      BUILDKIT_HOST: "",
      DOCKER_HOST: `unix://${socket}`,
      XDG_DATA_HOME: dir,
      KILN_QUICKSTART_LAYOUT: baseLayout("python"),
    },
  });
  expect(stderr).toContain(`nothing answers at docker://${socket}`);
  expect(stderr).toContain("the second build took");
  expect(code).toBe(0);
});
