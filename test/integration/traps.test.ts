import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
import { describeOneEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

// What a translation of Modal's chains to LLB gets wrong most easily, one test each.

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-traps-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2, 12);
const busybox = (): Image => Image.fromRegistry("busybox:latest");
const python = (): Image => Image.fromRegistry("python:3.13-slim");

describeOneEngine("modern", "traps", ({ name, address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, env: {} });
  });
  afterAll(() => engine.close());

  async function built(image: Image, options: BuildOptions = {}) {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await engine.build(image, { cwd: dir, ...options, outputs: [localDir(out)] }).result;
    return { result, read: (path: string): string => readFileSync(join(out, path), "utf8").trim() };
  }

  /** The image as a registry has it. */
  async function pushed(image: Image, options: BuildOptions = {}) {
    const ref = `${registry()}/traps/${fresh()}:1`;
    const outputs = [registryOutput(ref)];
    const result: BuildResult = await engine.build(image, { cwd: dir, ...options, outputs }).result;
    return { ref, result, image: await readRegistryImage(ref) };
  }

  const seconds = (result: BuildResult) =>
    result.steps.filter(({ outcome }) => outcome === "ran").map(({ id }) => id);

  it("T1: $PATH in a variable is the image's, not a text", async () => {
    const image = busybox()
      .env({ PATH: "/opt/own/bin:$PATH" })
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax under test
      .env({ TWO: "${PATH}:${UNSET:-none}", KEPT: "\\$PATH" })
      .runCommands('printf "%s\\n" "$PATH" "$TWO" "$KEPT" > /out');
    const lines = (await built(image)).read("out").split("\n");
    expect(lines[0]).toMatch(/^\/opt\/own\/bin:\/.*\/bin/);
    expect(lines.slice(1)).toEqual([`${lines[0]}:none`, "$PATH"]);
  });

  it("T2: steps run as root whatever the base's user is, which the image keeps", async () => {
    const base = await pushed(busybox().user("65534:65534"));
    const { image } = await pushed(
      Image.fromRegistry(base.ref).runCommands("id -u > /root-only; test $(id -u) = 0"),
    );
    expect(image.config.config?.User).toBe("65534:65534");
    expect(image.files.get("root-only")).toMatchObject({ uid: 0 });
  });

  it("T3: the base's config goes on: variables, directory, shell, labels, entrypoint", async () => {
    const base = await pushed(
      busybox()
        .env({ FROM_BASE: "1" })
        .workdir("/base")
        .shell(["/bin/sh", "-ec"])
        .label({ kept: "yes" })
        .entrypoint(["/bin/echo"])
        .cmd(["hello"]),
    );
    const { image } = await pushed(
      Image.fromRegistry(base.ref).runCommands('echo "$FROM_BASE $(pwd) $-" > out').workdir("sub"),
    );
    expect(image.config.config).toMatchObject({
      Env: expect.arrayContaining(["FROM_BASE=1"]),
      WorkingDir: "/base/sub",
      Shell: ["/bin/sh", "-ec"],
      Labels: { kept: "yes" },
      Entrypoint: ["/bin/echo"],
      Cmd: ["hello"],
    });
    const read = await built(Image.fromRegistry(base.ref).runCommands('echo "$FROM_BASE $(pwd) $-" > /out'));
    expect(read.read("out")).toMatch(/^1 \/base .*e/);
  });

  it("T4: a moved tag does not rebuild what a lock holds, and uv is a pinned one", async () => {
    const ref = `${registry()}/traps/${fresh()}:moving`;
    const push = (text: string) =>
      engine.build(busybox().runCommands(`echo ${text} > /text`), { outputs: [registryOutput(ref)] }).result;
    await push("one");
    const options = { sourceLock: join(dir, `${fresh()}.lock`) };
    const image = Image.fromRegistry(ref).runCommands("cp /text /out");
    expect((await built(image, options)).read("out")).toBe("one");
    await push("two");
    const again = await built(image, options);
    expect([again.read("out"), seconds(again.result)]).toEqual(["one", []]);
    expect((await built(image, { ...options, pull: "always" })).read("out")).toBe("two");
    const { definition } = await engine.plan(python().uvPipInstall("six"));
    const sent = Buffer.concat((definition?.ops ?? []).map(({ bytes }) => bytes)).toString("latin1");
    expect(sent).toMatch(/uv==\d+\.\d+\.\d+[^\0]*--hash=sha256:/);
    expect(sent).not.toContain("uv:latest");
  });

  it("T5: files for the container's start are refused with the words that mend it", () => {
    expect(() => busybox().addLocalDir("src", "/app", {} as { copy: true })).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_COPY_REQUIRED",
        hint: expect.stringContaining("copy: true"),
      }),
    );
  });

  it("T6: links, empty directories and modes stay, owners are root, times are one", async () => {
    const tree = mkdtempSync(join(dir, "tree-"));
    mkdirSync(join(tree, "empty"), { mode: 0o700 });
    mkdirSync(join(tree, "real"));
    writeFileSync(join(tree, "real/run.sh"), "#!/bin/sh\n", { mode: 0o750 });
    symlinkSync("real", join(tree, "linked"));
    symlinkSync("real/run.sh", join(tree, "run"));
    const { image } = await pushed(busybox().addLocalDir(tree, "/app", { copy: true }));
    expect(image.files.get("app/empty")).toMatchObject({ type: "directory", mode: 0o700, uid: 0, gid: 0 });
    expect(image.files.get("app/linked")).toMatchObject({ type: "symlink", linkname: "real" });
    expect(image.files.get("app/run")).toMatchObject({ type: "symlink", linkname: "real/run.sh" });
    expect(image.files.get("app/real/run.sh")).toMatchObject({ mode: 0o750, uid: 0, mtime: 315_532_802 });
  });

  it("T7: the order of Python packages does not matter, that of Debian packages does", async () => {
    const ops = async (image: Image) =>
      (await engine.plan(image)).definition?.ops.map(({ digest }) => digest);
    expect(await ops(python().pipInstall("six", "idna", "six"))).toEqual(
      await ops(python().pipInstall("idna", "six")),
    );
    expect(await ops(python().uvPipInstall("six", "idna"))).toEqual(
      await ops(python().uvPipInstall("idna", "six")),
    );
    expect(await ops(busybox().aptInstall("git", "curl"))).not.toEqual(
      await ops(busybox().aptInstall("curl", "git")),
    );
  });

  it("T8: steps that change the config alone make no layer", async () => {
    const base = await pushed(busybox());
    const plain = busybox().env({ A: "1" }).workdir("/w").user("7").label({ b: "2" }).expose(80);
    const more = plain
      .entrypoint(["/bin/sh"])
      .cmd(["-c", "true"])
      .shell(["/bin/sh", "-c"])
      .healthcheck("true");
    const { image } = await pushed(more);
    expect(image.manifest.layers).toHaveLength(base.image.manifest.layers.length);
    expect(image.config.history?.filter(({ empty_layer }) => empty_layer !== true)).toHaveLength(
      base.image.manifest.layers.length,
    );
    expect(image.config.config).toMatchObject({
      ExposedPorts: { "80/tcp": {} },
      Healthcheck: { Test: ["CMD-SHELL", "true"] },
    });
  });

  it("T9: volumes, whose content no cache knows, are refused and not passed over", () => {
    const options = { volumes: { "/models": "models" } } as object;
    expect(() => busybox().runCommands("ls /models", options)).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_UNKNOWN_OPTION",
        message: expect.stringContaining("volumes"),
      }),
    );
  });

  it("T10: a device is a part of the step's key, and its absence an error that lists what there is", async (ctx) => {
    const command = `echo "$KILN_TEST_DEVICE" > /out; : ${fresh()}`;
    const gpu = busybox().runCommands(command, { gpu: "vendor.example/gpu=0" });
    await expect(
      engine.build(busybox().runCommands("true", { gpu: "vendor.example/gpu=7" })).result,
    ).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_KILN_(?:UNSUPPORTED|DEVICE|SOLVE)/),
      location: { file: expect.stringContaining("traps.test.ts") },
    });
    if (name !== "modern") {
      const error = await built(gpu).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      ctx.skip((error as Error).message);
    }
    expect((await built(busybox().runCommands(command))).read("out")).toBe("");
    const device = await built(gpu);
    expect([device.read("out"), seconds(device.result)]).toEqual(["0", ["runCommands"]]);
  });

  it("T11: a step's variables and secrets stay with the step, and no secret shows", async () => {
    const value = `hunter-${fresh()}`;
    const image = busybox()
      .runCommands(
        `test "$ONCE" = 1; echo "token is $TOKEN" >&2; echo "$TOKEN" | wc -c > /length; : ${fresh()}`,
        {
          env: { ONCE: "1" },
          secrets: [Secret.fromObject({ TOKEN: value })],
        },
      )
      .runCommands('echo "[$ONCE$TOKEN]" > /out');
    const plan = await engine.plan(image);
    const out = mkdtempSync(join(dir, "out-"));
    const build = engine.build(image, { outputs: [localDir(out)] });
    const events: string[] = [];
    for await (const event of build) {
      events.push(
        JSON.stringify(event, (_key, item: unknown) =>
          item instanceof Uint8Array ? new TextDecoder().decode(item) : item,
        ),
      );
    }
    const result = await build.result;
    expect(readFileSync(join(out, "length"), "utf8").trim()).toBe(String(value.length + 1));
    expect(readFileSync(join(out, "out"), "utf8")).toBe("[]\n");
    expect(events.join("\n")).toContain("token is ***");
    for (const text of [...events, JSON.stringify(result), plan.toSnapshot(), image.toSnapshot()]) {
      expect(text).not.toContain(value);
    }
    const pushedImage = await pushed(image);
    expect(JSON.stringify(pushedImage.image.config.config)).not.toMatch(/ONCE|TOKEN/);
    expect(JSON.stringify(pushedImage.image.config)).not.toContain(value);
  });

  it("T12: forcing one step runs all that follow; see the tests of forcing for the rest", async () => {
    const tag = fresh();
    const chain = (forceBuild: boolean): Image =>
      busybox()
        .runCommands(`: ${tag} 1`)
        .runCommands(`: ${tag} 2`, { forceBuild })
        .env({ A: "1" })
        .runCommands(`: ${tag} 3`)
        .copyFrom(busybox(), "/bin/busybox", "/copied");
    await built(chain(false));
    expect(seconds((await built(chain(true))).result)).toEqual(["runCommands", "runCommands", "copyFrom"]);
  });

  it("T13: Dockerfiles keep their ignore files, targets and config, and can be forced", async () => {
    const context = mkdtempSync(join(dir, "context-"));
    for (const file of ["kept", "by-own", "by-context"]) writeFileSync(join(context, file), file);
    writeFileSync(join(context, ".dockerignore"), "by-context\n");
    writeFileSync(join(context, "web.Dockerfile.dockerignore"), "by-own\n");
    const lines = [
      "FROM busybox:latest AS first",
      "ARG GREETING=none",
      'RUN echo "$GREETING" > /greeting; cat /proc/sys/kernel/random/uuid > /stamp',
      "FROM first AS web",
      "COPY . /context/",
      "ADD kept /added",
      "LABEL a=b",
      "EXPOSE 80",
      "HEALTHCHECK CMD true",
      "USER 7",
      'ENTRYPOINT ["/bin/cat"]',
      "FROM busybox:latest AS last",
    ];
    writeFileSync(join(context, "web.Dockerfile"), lines.join("\n"));
    const chain = (forceBuild: boolean): Image =>
      Image.fromDockerfile(join(context, "web.Dockerfile"), {
        ...{ contextDir: context, target: "web", buildArgs: { GREETING: `hello ${context}` }, forceBuild },
      }).runCommands("ls /context > /listed");
    const first = await pushed(chain(false));
    expect([...first.image.files.keys()].filter((path) => path.startsWith("context/"))).toEqual(
      expect.arrayContaining(["context/by-context", "context/kept"]),
    );
    expect(first.image.files.has("context/by-own")).toBe(false);
    expect(first.image.files.has("added")).toBe(true);
    expect(first.image.config.config).toMatchObject({
      ...{ User: "7", Labels: { a: "b" }, ExposedPorts: { "80/tcp": {} }, Entrypoint: ["/bin/cat"] },
      Healthcheck: { Test: ["CMD-SHELL", "true"] },
    });
    const before = await built(chain(false));
    const forced = await built(chain(true));
    expect(before.read("greeting")).toBe(`hello ${context}`);
    expect(forced.read("stamp")).not.toBe(before.read("stamp"));
  });

  it("T14: apt leaves no lists, downloads or settings behind", async () => {
    const base = await pushed(Image.fromRegistry("debian:bookworm-slim"));
    const { image } = await pushed(Image.fromRegistry("debian:bookworm-slim").aptInstall("jq"));
    const added = [...image.files.keys()].filter((path) => !base.image.files.has(path));
    expect(added).toEqual(expect.arrayContaining(["usr/bin/jq"]));
    expect(
      added.filter((path) => /^(?:run|tmp|root|var\/cache\/apt|var\/lib\/apt\/lists|etc\/apt)\//.test(path)),
    ).toEqual([]);
  });
});
