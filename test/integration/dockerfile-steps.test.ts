import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildOptions,
  type BuildResult,
  type ConnectOptions,
  defineStep,
  Engine,
  Image,
  localDir,
  registry as registryOutput,
  Secret,
  type SolveError,
} from "../../src/index.js";
import { baseLayout, describeOneEngine, registry } from "./support/engines.js";
import { type ReadImage, readRegistryImage } from "./support/registry-image.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-dockerfile-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const fresh = (): string => Math.random().toString(36).slice(2);

/** A project directory with these files. */
function project(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(dir, "project-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

async function failure(promise: Promise<unknown>): Promise<SolveError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (reason: SolveError) => reason,
  );
}

describeOneEngine("modern", "Dockerfiles in chains", ({ name, address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address });
  });
  afterAll(() => engine.close());

  async function withEngine<T>(options: ConnectOptions, use: (own: Engine) => Promise<T>): Promise<T> {
    await using own = await Engine.connect({ host: address, ...options });
    return use(own);
  }

  /** Builds and reads files of the result. */
  async function built(
    image: Image,
    options: BuildOptions = {},
    on: Engine = engine,
  ): Promise<{
    readonly read: (path: string) => string;
    readonly out: string;
    readonly result: BuildResult;
  }> {
    const out = mkdtempSync(join(dir, "out-"));
    const result = await on.build(image, { cwd: dir, ...options, outputs: [localDir(out)] }).result;
    return { read: (path) => readFileSync(join(out, path), "utf8").trim(), out, result };
  }

  async function pushed(image: Image, options: BuildOptions = {}): Promise<ReadImage> {
    const ref = `${registry()}/dockerfile-steps/${name}:${fresh()}`;
    await engine.build(image, { cwd: dir, ...options, outputs: [registryOutput(ref)] }).result;
    return readRegistryImage(ref);
  }

  it("begin a chain that keeps their config and goes on as root", async () => {
    const root = project({
      "docker/api.Dockerfile": `FROM busybox:latest AS made
ARG WHO=nobody
RUN echo "hello $WHO" > /greeting
FROM made AS final
RUN mkdir -p /etc /tmp && echo app:x:1000:1000::/:/bin/sh > /etc/passwd && chmod 1777 /tmp
ENV COLOR=blue
WORKDIR /srv
USER app
RUN id -un > /tmp/user; cat <<END > /tmp/heredoc
first $COLOR
second
END
ENTRYPOINT ["/bin/entry"]
CMD ["a", "b"]
EXPOSE 8080
HEALTHCHECK --interval=30s CMD true
LABEL made=file
VOLUME /data
STOPSIGNAL SIGINT
FROM made AS other
`,
    });
    const image = Image.fromDockerfile("docker/api.Dockerfile", {
      buildArgs: { WHO: "kiln" },
      target: "final",
    }).runCommands('echo "$(id -u) $COLOR $(pwd)" > /after');
    const found = await pushed(image, { cwd: root });
    expect(found.config.config).toMatchObject({
      Env: expect.arrayContaining(["COLOR=blue"]),
      Entrypoint: ["/bin/entry"],
      Cmd: ["a", "b"],
      ExposedPorts: { "8080/tcp": {} },
      Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 30_000_000_000 },
      Labels: { made: "file" },
      Volumes: { "/data": {} },
      StopSignal: "SIGINT",
      User: "app",
      WorkingDir: "/srv",
    });
    const history = found.config.history?.map(({ created_by }) => created_by ?? "") ?? [];
    expect(history.some((line) => line.includes("app:x:1000"))).toBe(true);
    expect(history.at(-1)).toMatch(/^RUN echo "\$\(id -u\)/);
    const layers = found.config.history?.filter(({ empty_layer }) => empty_layer !== true);
    expect(layers).toHaveLength(found.manifest.layers.length);
    const { read } = await built(image, { cwd: root });
    expect(read("greeting")).toBe("hello kiln");
    expect(read("tmp/user")).toBe("app");
    expect(read("tmp/heredoc")).toBe("first blue\nsecond");
    expect(read("after")).toBe("0 blue /srv");
  });

  it("go on from a chain with its environment, directory, shell and user", async () => {
    const user =
      "mkdir -p /etc /work; echo app:x:1000:1000::/:/bin/sh > /etc/passwd; chown 1000 /work; test -d /tmp || mkdir /tmp";
    const chain = Image.fromRegistry("busybox:latest")
      .runCommands(user)
      .env({ WHO: "chain" })
      .workdir("/work")
      .shell(["/bin/ash", "-ec"])
      .user("app")
      .cmd(["kept"]);
    const first = chain.dockerfileCommands(
      'RUN echo "$WHO $(id -un) $(pwd) $0 $-" > seen',
      "ENV MORE=$WHO-more",
    );
    expect((await built(first)).read("work/seen")).toMatch(/^chain app \/work \/bin\/ash \w*e/);
    const stages = chain
      .dockerfileCommands(
        ["FROM busybox:latest AS tool", "RUN echo from the tool > /tool", "FROM base"].join("\n"),
        "COPY --from=tool /tool /tool",
        "ENV LAST=$WHO-last",
      )
      .runCommands('echo "$LAST $(id -u)" > /end');
    const { read } = await built(stages);
    expect([read("tool"), read("end")]).toEqual(["from the tool", "chain-last 0"]);
    const { config } = await pushed(first);
    expect(config.config).toMatchObject({
      User: "app",
      Cmd: ["kept"],
      WorkingDir: "/work",
      Shell: ["/bin/ash", "-ec"],
      Env: expect.arrayContaining(["WHO=chain", "MORE=chain-more"]),
    });
  });

  it("start from nothing", async () => {
    const root = project({ "a.txt": "a" });
    const image = Image.fromScratch().env({ A: "1" }).dockerfileCommands("COPY a.txt /$A");
    const found = await pushed(image, { cwd: root });
    expect([...found.files.keys()]).toEqual(["1"]);
    expect(found.config.config?.Env).toContain("A=1");
    const layers = found.config.history?.filter(({ empty_layer }) => empty_layer !== true);
    expect(layers).toHaveLength(found.manifest.layers.length);
    writeFileSync(join(root, "Dockerfile"), "FROM scratch\n");
    const empty = await built(Image.fromDockerfile("Dockerfile"), { cwd: root });
    expect(readdirSync(empty.out)).toEqual([]);
  });

  it("copy from the context what no .dockerignore names, found in Docker's order", async () => {
    const text = "FROM scratch\nCOPY . /\n";
    const files = { "kept.txt": "1", "own.txt": "2", "beside.txt": "3", "context.txt": "4" };
    const context = Object.fromEntries(Object.entries(files).map(([path, body]) => [`ctx/${path}`, body]));
    const root = project({
      ...context,
      "ctx/.dockerignore": ".dockerignore\ncontext.txt\n",
      "docker/.dockerignore": ".dockerignore\nbeside.txt\n",
      "docker/a.Dockerfile": text,
      "docker/a.Dockerfile.dockerignore": ".dockerignore\nown.txt\n",
      "docker/b.Dockerfile": text,
      "plain/Dockerfile": text,
    });
    const listed = async (path: string, options = {}): Promise<readonly string[]> => {
      const image = Image.fromDockerfile(path, { contextDir: "ctx", ...options });
      return [...(await pushed(image, { cwd: root })).files.keys()].sort();
    };
    const without = (...gone: string[]): readonly string[] =>
      Object.keys(files)
        .filter((file) => !gone.includes(file))
        .sort();
    expect(await listed("docker/a.Dockerfile")).toEqual(without("own.txt"));
    expect(await listed("docker/b.Dockerfile")).toEqual(without("beside.txt"));
    expect(await listed("plain/Dockerfile")).toEqual(without("context.txt"));
    expect(await listed("docker/a.Dockerfile", { ignore: ["*", "!kept.txt"] })).toEqual(["kept.txt"]);
  });

  it("take further files of the context from anywhere, with their own modes, whatever is ignored", async () => {
    const root = project({
      "ctx/app/main.txt": "main",
      "ctx/app/config.txt": "hidden by another",
      "elsewhere/config.txt": "config",
      "elsewhere/tool": "tool",
    });
    chmodSync(join(root, "elsewhere/tool"), 0o750);
    const image = Image.fromScratch().dockerfileCommands(["COPY app /app/", "COPY bin /bin/"], {
      contextDir: "ctx",
      ignore: ["**/config.txt", "bin"],
      contextFiles: { "/app/config.txt": "elsewhere/config.txt", "bin/tool": join(root, "elsewhere/tool") },
    });
    const found = await pushed(image, { cwd: root });
    expect([...found.files.keys()].sort()).toEqual([
      "app",
      "app/config.txt",
      "app/main.txt",
      "bin",
      "bin/tool",
    ]);
    expect(found.files.get("bin/tool")).toMatchObject({ mode: 0o750, uid: 0, gid: 0 });
    const { read } = await built(image, { cwd: root });
    expect(read("app/config.txt")).toBe("config");
    const missing = Image.fromScratch().dockerfileCommands(["COPY x /"], { contextFiles: { x: "no-such" } });
    expect(await failure(built(missing, { cwd: root }))).toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      location: { file: expect.stringContaining("dockerfile-steps.test.ts") },
    });
  });

  it("send of the context what COPY names, once for several steps", async () => {
    const root = project({ "a.txt": "a", "b.txt": "b", "large.bin": "x".repeat(1 << 20) });
    const image = Image.fromScratch()
      .dockerfileCommands("COPY a.txt /")
      .dockerfileCommands("COPY b.txt /")
      .dockerfileCommands("COPY a.txt /again");
    const out = mkdtempSync(join(dir, "out-"));
    const build = engine.build(image, { cwd: root, outputs: [localDir(out)] });
    const sent: string[] = [];
    let bytes = 0;
    for await (const event of build) {
      if (event.type === "vertex.done" && event.name.includes("load build context")) sent.push(event.vertex);
      if (event.type === "progress") bytes = Math.max(bytes, event.current);
    }
    await build.result;
    expect(new Set(sent).size).toBe(2);
    expect(bytes).toBeLessThan(1 << 19);
  });

  it("give their commands the step's environment, secrets and certificates, and no image keeps them", async () => {
    const pem = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n";
    const root = project({
      "ca.pem": pem,
      Dockerfile: `FROM busybox:latest
RUN echo "$TOKEN, $FLAVOUR, $(cat /run/secrets/TOKEN), $(head -1 $SSL_CERT_FILE)" > /out; : ${fresh()}
RUN --mount=type=cache,target=/cache ls /run/kiln > /run-kiln
`,
    });
    const options = { env: { FLAVOUR: "sweet" }, caBundle: "ca.pem" };
    const text = (token: string): Image =>
      Image.fromDockerfile("mount.Dockerfile", {
        ...options,
        secrets: [Secret.fromObject({ TOKEN: token })],
      });
    writeFileSync(
      join(root, "mount.Dockerfile"),
      readFileSync(join(root, "Dockerfile"), "utf8").replace(
        "RUN echo",
        "RUN --mount=type=secret,id=TOKEN,required=true echo",
      ),
    );
    const { read } = await built(text("one"), { cwd: root });
    expect(read("out")).toBe("one, sweet, one, -----BEGIN CERTIFICATE-----");
    expect(read("run-kiln")).toContain("ca.pem");
    const { config, files } = await pushed(text("one"), { cwd: root });
    expect(JSON.stringify(config)).not.toMatch(/sweet|SSL_CERT_FILE=/);
    expect(JSON.stringify(config.config)).not.toContain("FLAVOUR");
    expect([...files.keys()].filter((path) => path.startsWith("run/kiln/"))).toEqual([]);
    // Two steps have different secrets of one name.
    const two = Image.fromRegistry("busybox:latest")
      .dockerfileCommands([`RUN --mount=type=secret,id=T cat /run/secrets/T > /one; : ${fresh()}`], {
        secrets: [Secret.fromObject({ T: "first" })],
      })
      .dockerfileCommands(["RUN --mount=type=secret,id=T cat /run/secrets/T > /two"], {
        secrets: [Secret.fromObject({ T: "second" })],
      });
    const both = await built(two);
    expect([both.read("one"), both.read("two")]).toEqual(["first", "second"]);
    // The build's own secrets are found by their ids.
    const plain = Image.fromRegistry("busybox:latest").dockerfileCommands(
      `RUN --mount=type=secret,id=own cat /run/secrets/own > /own; : ${fresh()}`,
    );
    expect((await built(plain, { secrets: { own: "the build's" } })).read("own")).toBe("the build's");
  });

  it("run with the step's device", async (ctx) => {
    const image = Image.fromRegistry("busybox:latest").dockerfileCommands(
      [`RUN echo "$KILN_TEST_DEVICE" > /out; test -c /dev/kiln-gpu0; : ${fresh()}`],
      { gpu: "vendor.example/gpu=0" },
    );
    if (name !== "modern") {
      const error = await failure(built(image));
      expect(error).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      ctx.skip(error.message);
    }
    expect((await built(image)).read("out")).toBe("0");
  });

  it("are cached, and forced by step and by build, caches kept", async () => {
    const root = project({
      Dockerfile: `FROM busybox:latest
RUN cat /proc/sys/kernel/random/uuid > /plain; : ${fresh()}
RUN --mount=type=cache,id=${fresh()},target=/c echo x >> /c/count; wc -l < /c/count > /count; cat /proc/sys/kernel/random/uuid > /cached
`,
    });
    const image = (forceBuild: boolean): Image => Image.fromDockerfile("Dockerfile", { forceBuild });
    const read = async (one: Image, options: BuildOptions = {}) => {
      const { read: text, result } = await built(one, { cwd: root, ...options });
      return { all: [text("plain"), text("cached")], count: text("count"), ran: result.cache.ran };
    };
    const first = await read(image(false));
    const again = await read(image(false));
    expect(again).toMatchObject({ all: first.all, ran: 0 });
    const forced = await read(image(true));
    for (const index of [0, 1]) expect(forced.all[index]).not.toBe(first.all[index]);
    expect(forced.count).toBe("2");
    expect((await read(image(false))).all).toEqual(forced.all);
    const apart = await read(image(false), { ignoreCache: true });
    for (const index of [0, 1]) expect(apart.all[index]).not.toBe(forced.all[index]);
    expect((await read(image(false))).all).toEqual(forced.all);
    const whole = await read(image(false), { forceBuild: true });
    for (const index of [0, 1]) expect(whole.all[index]).not.toBe(forced.all[index]);
  });

  it("stay cached though the context is sent anew, and do not when it changes", async () => {
    const root = project({ file: "one", other: "1" });
    const image = Image.fromRegistry("busybox:latest").dockerfileCommands([
      "COPY file /file",
      `RUN cat /proc/sys/kernel/random/uuid > /made; : ${fresh()}`,
      "RUN --mount=type=bind,source=other,target=/other cat /other > /seen",
    ]);
    const made = async (): Promise<string> => (await built(image, { cwd: root })).read("made");
    const first = await made();
    writeFileSync(join(root, "unused"), "new");
    expect(await made()).toBe(first);
    writeFileSync(join(root, "file"), "two");
    expect(await made()).not.toBe(first);
  });

  it("say what is wrong with them, where, and which call has them", async () => {
    const root = project({
      "docker/syntax.Dockerfile": "FROM busybox:latest\n\nRUNN true\n",
      "docker/copy.Dockerfile": "FROM busybox:latest\nCOPY missing /\n",
      "docker/fails.Dockerfile": "FROM busybox:latest\nRUN true\nRUN echo last words >&2; exit 23\n",
      "docker/base.Dockerfile": "FROM no-such-image-at-all:1\n",
    });
    const location = { file: expect.stringContaining("dockerfile-steps.test.ts") };
    const of = (file: string, options = {}) =>
      failure(built(Image.fromDockerfile(`docker/${file}.Dockerfile`, options), { cwd: root }));
    const syntax = await of("syntax");
    expect(syntax).toMatchObject({ code: "ERR_KILN_SOLVE_FAILED", location });
    expect(syntax.message).toMatch(
      /^fromDockerfile docker\/syntax\.Dockerfile: docker\/syntax\.Dockerfile:3: /,
    );
    expect(syntax.sources[0]?.excerpt).toContain(">>> 3 | RUNN true");
    const target = await of("fails", { target: "no-such" });
    expect(target).toMatchObject({ code: "ERR_KILN_SOLVE_FAILED", location });
    expect(target.message).toMatch(/\(no-such\): .*no-such/);
    const copy = await of("copy");
    expect(copy).toMatchObject({ location, step: { id: "fromDockerfile" } });
    expect(copy.message).toMatch(/copy\.Dockerfile:2: .*missing.*not found/s);
    const run = await of("fails");
    expect(run).toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      exitCode: 23,
      logTail: ["last words"],
      command: "RUN echo last words >&2; exit 23",
      location,
    });
    expect(run.message).toMatch(
      /^step 1 failed: fromDockerfile: docker\/fails\.Dockerfile:3: RUN echo last words.*: exit code 23$/,
    );
    expect(await of("base")).toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      location,
      message: expect.stringContaining("no-such-image-at-all"),
    });
    expect(await of("nowhere")).toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      location,
      message: expect.stringContaining("docker/nowhere.Dockerfile"),
    });
    const context = await of("fails", { contextDir: "no-such-dir" });
    expect(context).toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND", location });
  });

  it("time out with their step", async () => {
    const image = Image.fromRegistry("busybox:latest").dockerfileCommands([`RUN sleep 60; : ${fresh()}`], {
      timeoutMs: 1500,
    });
    expect(await failure(built(image))).toMatchObject({ code: "ERR_KILN_STEP_TIMEOUT" });
  });

  it("are other chains' sources, and take part in steps of others", async () => {
    const root = project({ Dockerfile: "FROM busybox:latest\nRUN echo nested > /nested\n" });
    const custom = defineStep({
      id: "custom",
      version: 1,
      validate: (line: string) => line,
      title: (line) => `custom ${line}`,
      needs: () => ({ dockerfile: true }),
      lower: (chain, line, context) =>
        context.dockerfile(chain, { key: "k", text: `FROM mine\n${line}\n`, baseName: "mine" }),
    });
    const image = Image.fromRegistry("busybox:latest")
      .copyFrom(Image.fromDockerfile("Dockerfile"), "/nested", "/copied")
      .step(custom, "RUN cp /copied /custom");
    const { read } = await built(image, { cwd: root });
    expect([read("copied"), read("custom")]).toEqual(["nested", "nested"]);
  });

  it("take their bases by a lock, and are refused what it does not hold", async () => {
    const ref = `${registry()}/dockerfile-lock/${name}:${fresh()}`;
    const publish = async (text: string): Promise<string> => {
      const image = Image.fromRegistry("busybox:latest").runCommands(`echo ${text} > /version`);
      const { digest } = await engine.build(image, { outputs: [registryOutput(ref)] }).result;
      return digest ?? "";
    };
    const one = await publish("one");
    const root = project({
      Dockerfile: `FROM busybox:latest AS pinned\nFROM ${ref}\nCOPY --from=busybox:latest /bin/busybox /again\n`,
    });
    const sourceLock = join(root, "kiln.lock");
    const version = async (pull?: "locked" | "missing" | "always"): Promise<string> => {
      const options = { cwd: root, sourceLock, ...(pull === undefined ? {} : { pull }) };
      return (await built(Image.fromDockerfile("Dockerfile"), options)).read("version");
    };
    const location = { file: expect.stringContaining("dockerfile-steps.test.ts") };
    const refused = await failure(version("locked"));
    expect(refused).toMatchObject({ code: "ERR_KILN_SOURCE_UNLOCKED", location });
    expect(await version()).toBe("one");
    expect(readFileSync(sourceLock, "utf8")).toContain(one);
    expect(readFileSync(sourceLock, "utf8")).toContain("docker.io/library/busybox:latest");
    const two = await publish("two");
    expect(await version()).toBe("one");
    expect(await version("locked")).toBe("one");
    expect(await version("always")).toBe("two");
    expect(readFileSync(sourceLock, "utf8")).toContain(two);
  });

  it("are locked by a build that has nothing else to do", async () => {
    const root = project({ Dockerfile: "FROM busybox:latest\nRUN true\n" });
    const options = { cwd: root, outputs: [localDir(join(root, "out"))] };
    const image = Image.fromDockerfile("Dockerfile");
    await engine.build(image, options).result;
    const { verified } = await engine.build(image, { ...options, sourceLock: "kiln.lock" }).result;
    expect(verified).toBe(true);
    expect(readFileSync(join(root, "kiln.lock"), "utf8")).toContain("docker.io/library/busybox:latest");
  });

  it("take their bases from mirrors: registries and layouts", async () => {
    const ref = `mirrored/${name}-${fresh()}:1`;
    const base = Image.fromRegistry("busybox:latest").runCommands("echo mirrored > /version");
    await engine.build(base, { outputs: [registryOutput(`${registry()}/hub/${ref}`)] }).result;
    const root = project({
      Dockerfile: `FROM registry.example/${ref}\nCOPY --from=layout.example/library/bb /bin/busybox /bb\n`,
    });
    const layout = project({});
    cpSync(baseLayout("busybox"), join(layout, "layout"), { recursive: true });
    const index = JSON.parse(readFileSync(join(layout, "layout/index.json"), "utf8"));
    index.manifests[0].annotations = { "org.opencontainers.image.ref.name": "bb" };
    writeFileSync(join(layout, "layout/index.json"), JSON.stringify(index));
    const mirrors = {
      "registry.example": `${registry()}/hub`,
      "layout.example/library": `oci-layout:${layout}/layout`,
    };
    const sourceLock = join(root, "kiln.lock");
    await withEngine({ mirrors }, async (mirrored) => {
      for (const pull of ["missing", "locked"] as const) {
        const { read } = await built(
          Image.fromDockerfile("Dockerfile"),
          { cwd: root, sourceLock, pull },
          mirrored,
        );
        expect(read("version")).toBe("mirrored");
        expect(read("bb").length).toBeGreaterThan(0);
      }
    });
    expect(readFileSync(sourceLock, "utf8")).toContain(`registry.example/${ref}`);
    expect(readFileSync(sourceLock, "utf8")).not.toContain("/hub/");
  });
});
