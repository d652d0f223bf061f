import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type Definition,
  marshal,
  mkdir,
  mkfile,
  image as registryImage,
  type State,
  scratch,
  symlink,
} from "../../src/llb/index.js";
import {
  Client,
  type Gateway,
  type GatewayReturn,
  localDir,
  multiPlatform,
  ociLayout,
  type Ref,
  RpcError,
  SolveError,
  type SolveEvent,
} from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-gateway-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const files = (state: State): Definition => marshal(state);

async function refOf(gateway: Gateway, state: State): Promise<Ref> {
  const { ref } = await gateway.solve({ definition: marshal(state) });
  if (ref === undefined) throw new Error("the solve gave no ref");
  return ref;
}

async function readAll(stream: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describeEachEngine("a build as a program", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  async function inGateway<T>(
    use: (gateway: Gateway) => Promise<T>,
    options: Parameters<Client["build"]>[1] = {},
  ): Promise<T> {
    let value: T | undefined;
    await client.build(async (gateway): Promise<undefined> => {
      value = await use(gateway);
    }, options).result;
    return value as T;
  }

  it("ClientGatewaySolve: solves, reads what it solved, and exports what it returns", async () => {
    const out = mkdtempSync(join(dir, "solve-"));
    const seen: string[] = [];
    const build = client.build(
      async (gateway) => {
        const { ref } = await gateway.solve({
          definition: files(
            busybox()
              .run(shell(`echo ${name} > /made`))
              .root(),
          ),
        });
        seen.push(text((await ref?.readFile("/made")) ?? new Uint8Array()));
        const chosen = scratch().file(mkfile("/chosen", `after ${seen[0]}`));
        return gateway.solve({ definition: files(chosen) });
      },
      { outputs: [localDir(out)] },
    );
    const events: SolveEvent[] = [];
    for await (const event of build) events.push(event);
    await build.result;
    expect(readFileSync(join(out, "chosen"), "utf8")).toBe(`after ${name}\n`);
    expect(events.filter((event) => event.type === "vertex.done").length).toBeGreaterThan(1);
  });

  it("ClientGatewayFailedSolve: rejects with what the build function threw, and ends on the daemon", async () => {
    const mistake = new Error("my own mistake");
    const build = client.build(() => Promise.reject(mistake));
    await expect(build.result).rejects.toBe(mistake);
    const records = await client.history({ ref: build.ref });
    expect(records[0]?.error?.message).toContain("my own mistake");
  });

  it("ClientGatewayNilResult: a build may return nothing, and its gateway is closed afterwards", async () => {
    let kept: Gateway | undefined;
    let ref: Ref | undefined;
    await client.build(async (gateway): Promise<undefined> => {
      kept = gateway;
      ref = await refOf(gateway, scratch().file(mkfile("/a", "a")));
    }).result;
    await expect(kept?.ping()).rejects.toMatchObject({ code: "ERR_KILN_CLOSED" });
    await expect(ref?.readFile("/a")).rejects.toMatchObject({ code: "ERR_KILN_CLOSED" });
  });

  it("refuses a result that is none before the daemon sees it", async () => {
    const wrong = client.build(() => Promise.resolve({ ref: "nonsense" } as unknown as GatewayReturn));
    await expect(wrong.result).rejects.toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
    const unknown = client.build(() => Promise.resolve({ refz: 1 } as unknown as GatewayReturn));
    await expect(unknown.result).rejects.toMatchObject({ code: "ERR_KILN_UNKNOWN_OPTION" });
    await expect(inGateway((gateway) => gateway.solve({}))).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
  });

  it("reads files of any size, parts of them, directories and links", async () => {
    const big = 20 * 1024 * 1024 + 17;
    const state = busybox()
      .run(
        shell(`head -c ${big} /dev/zero | tr '\\0' 'x' > /big; printf END >> /big; mkdir /d; chmod 1750 /d`),
      )
      .root()
      .file(mkfile("/d/b", "bb", { mode: 0o640 }))
      .file(mkdir("/d/sub"))
      .file(mkfile("/d/a.conf", "a"));
    await inGateway(async (gateway) => {
      const ref = await refOf(gateway, state);
      const whole = await ref.readFile("/big");
      expect(whole.length).toBe(big + 3);
      expect(text(whole.subarray(-5))).toBe("xxEND");
      expect(text(await ref.readFile("/big", { offset: big }))).toBe("END");
      expect(text(await ref.readFile("/big", { offset: big - 1, length: 2 }))).toBe("xE");
      expect((await ref.readFile("/big", { offset: 1, length: 17 * 1024 * 1024 })).length).toBe(
        17 * 1024 * 1024,
      );
      expect((await ref.readFile("/big", { length: 0 })).length).toBe(0);
      const entries = await ref.readDir("/d");
      expect(entries.map(({ path, type, mode }) => [path, type, mode])).toEqual([
        ["a.conf", "file", 0o644],
        ["b", "file", 0o640],
        ["sub", "directory", 0o755],
      ]);
      expect((await ref.readDir("/d", { includePattern: "*.conf" })).map(({ path }) => path)).toEqual([
        "a.conf",
      ]);
      expect(await ref.statFile("/d")).toMatchObject({ type: "directory", mode: 0o1750, uid: 0 });
      expect(await ref.statFile("/d/b")).toMatchObject({ type: "file", size: 2n, linkTarget: undefined });
      await expect(ref.readFile("/nothing")).rejects.toThrow(/nothing/);
      await expect(ref.readFile("/big", { offset: -1 })).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    });
  });

  it("follows links when it reads and describes, and lists them as what they are", async ({ skip }) => {
    const { llbCaps } = await client.facts();
    if (!llbCaps.has("file.symlink.create")) skip(`${name} has no file.symlink.create`);
    await inGateway(async (gateway) => {
      const ref = await refOf(
        gateway,
        scratch().file(mkfile("/target", "t")).file(symlink("target", "/link")),
      );
      expect(await ref.statFile("/link")).toMatchObject({ type: "file", size: 1n });
      const [link] = await ref.readDir("/", { includePattern: "link" });
      expect(link).toMatchObject({ path: "link", type: "symlink", linkTarget: "target" });
      expect(text(await ref.readFile("/link"))).toBe("t");
    });
  });

  it("turns a ref back into a state to build on", async () => {
    await inGateway(async (gateway) => {
      const first = await refOf(gateway, busybox().run(shell("echo one > /one")).root());
      const second = await refOf(
        gateway,
        first.toState().run(shell("cat /one > /two; echo two >> /two")).root(),
      );
      expect(text(await second.readFile("/two"))).toBe("one\ntwo\n");
    });
  });

  it("evaluates lazy refs when told to, and says which command failed", async () => {
    await inGateway(async (gateway) => {
      const failing = busybox()
        .run(shell(`echo said before; exit 17 # ${Math.random()}`))
        .root();
      const lazy = await refOf(gateway, failing);
      const error = await lazy.evaluate().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(SolveError);
      expect(error).toMatchObject({ code: "ERR_KILN_STEP_FAILED", exitCode: 17 });
      await expect(gateway.solve({ definition: marshal(failing), evaluate: true })).rejects.toMatchObject({
        code: "ERR_KILN_STEP_FAILED",
        exitCode: 17,
      });
    });
  });

  it("resolves images to digest and config, by reference and by source", async () => {
    await inGateway(async (gateway) => {
      const platform = { os: "linux", architecture: "amd64" };
      const ref = `${registry()}/library/busybox:1.36`;
      const resolved = await gateway.resolveImageConfig(ref, { platform });
      expect(resolved.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      const meta = await gateway.resolveSourceMeta(busybox(), { platform });
      expect(meta.image?.digest).toBe(resolved.digest);
      expect(JSON.parse(text(meta.image?.config ?? new Uint8Array()))).toMatchObject({ os: "linux" });
      expect(meta.source.identifier).toContain("library/busybox:1.36");
      const { frontendCaps } = await client.facts();
      const attestations = gateway.resolveSourceMeta(busybox(), { image: { attestationChain: true } });
      if (frontendCaps.has("source.metaresolver.image.attestations")) await attestations.catch(() => {});
      else await expect(attestations).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      await expect(gateway.resolveSourceMeta(busybox().file(mkfile("/x", "x")))).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    });
  });

  it("Warnings: reports warnings with their source, which arrive as events", async () => {
    const build = client.build(async (gateway): Promise<undefined> => {
      const definition = files(scratch().file(mkfile("/w", name)));
      await gateway.solve({ definition, evaluate: true });
      const vertex = definition.head()?.digest ?? "";
      await gateway.warn(vertex, "mind the gap", {
        detail: ["first", "second"],
        url: "https://example.com/gap",
        level: 3,
        source: {
          filename: "recipe",
          data: new TextEncoder().encode("one\ntwo\n"),
          ranges: [{ startLine: 2, endLine: 2, endCharacter: 3 }],
        },
      });
    });
    const warnings: SolveEvent[] = [];
    for await (const event of build) if (event.type === "warning") warnings.push(event);
    await build.result;
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({ level: 3, message: "mind the gap" });
  });

  it("runs the daemon's own Dockerfile frontend on inputs", async () => {
    await inGateway(async (gateway) => {
      const context = scratch()
        .file(
          mkfile(
            "/Dockerfile",
            `FROM ${registry()}/library/busybox:1.36\nARG WHO\nCOPY in /out\nENV A=$WHO\n`,
          ),
        )
        .file(mkfile("/in", "copied"));
      const result = await gateway.solve({
        frontend: "dockerfile.v0",
        frontendOptions: { "build-arg:WHO": "me" },
        frontendInputs: { context: marshal(context), dockerfile: marshal(context) },
      });
      expect(text((await result.ref?.readFile("/out")) ?? new Uint8Array())).toBe("copied");
      const config: unknown = JSON.parse(
        text(result.metadata.get("containerimage.config") ?? new Uint8Array()),
      );
      expect(JSON.stringify(config)).toContain('"A=me"');
    });
  });

  it("BuildExportScratch: exports an image of several platforms, each with its own config", async () => {
    const out = join(mkdtempSync(join(dir, "multi-")), "layout");
    const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
    await client.build(
      async (gateway) =>
        multiPlatform(
          await Promise.all(
            platforms.map(async (platform) => ({
              platform,
              ref: await refOf(gateway, scratch().file(mkfile("/arch", platform.architecture))),
              config: {
                ...platform,
                config: { Labels: { arch: platform.architecture } },
                rootfs: { type: "layers" as const, diff_ids: [] },
              },
            })),
          ),
        ),
      { outputs: [ociLayout(out)] },
    ).result;
    const blob = (
      digest: string,
    ): { manifests?: { digest: string; platform: unknown }[] } & Record<string, unknown> =>
      JSON.parse(readFileSync(join(out, "blobs/sha256", digest.slice(7)), "utf8"));
    const top = JSON.parse(readFileSync(join(out, "index.json"), "utf8")) as {
      manifests: { digest: string }[];
    };
    const index = blob(top.manifests[0]?.digest ?? "");
    const images = (index.manifests ?? []).filter(
      ({ platform }) => (platform as { architecture: string }).architecture !== "unknown",
    );
    expect(images.map(({ platform }) => platform)).toEqual(platforms);
    const labels = images.map(({ digest }) => {
      const manifest = blob(digest) as unknown as { config: { digest: string } };
      return (blob(manifest.config.digest) as { config?: { Labels?: unknown } }).config?.Labels;
    });
    expect(labels).toEqual([{ arch: "amd64" }, { arch: "arm64" }]);
  });

  it("ContainerExecPipe: pipes processes of one container into each other", async () => {
    await inGateway(async (gateway) => {
      const container = await gateway.newContainer({
        mounts: [{ target: "/", ref: await refOf(gateway, busybox()) }],
      });
      const first = await container.start({ args: ["sleep", "60"] });
      const producer = await container.start({ args: shell("seq 1 100000") });
      const middle = await container.start({ args: ["grep", "7"], stdin: true });
      const counter = await container.start({ args: ["wc", "-l"], stdin: true });
      if (
        producer.stdout === null ||
        middle.stdin === null ||
        middle.stdout === null ||
        counter.stdin === null
      )
        throw new Error("a pipe is missing");
      producer.stdout.pipe(middle.stdin);
      middle.stdout.pipe(counter.stdin);
      expect((await readAll(counter.stdout)).trim()).toBe("40951");
      expect(await Promise.all([producer.exited, middle.exited, counter.exited])).toEqual([
        { code: 0 },
        { code: 0 },
        { code: 0 },
      ]);
      await container.release();
      const end = await first.exited.then(
        ({ code }) => code !== 0,
        (error: unknown) => error instanceof RpcError,
      );
      expect(end).toBe(true);
    });
  });

  it("ContainerPID1Fail: tells the exit code, also 255, and refuses processes after the end", async () => {
    await inGateway(async (gateway) => {
      const ref = await refOf(gateway, busybox());
      for (const code of [99, 255]) {
        const container = await gateway.newContainer({ mounts: [{ target: "/", ref }] });
        const process = await container.start({ args: shell(`echo out; echo err >&2; exit ${code}`) });
        const [out, err] = await Promise.all([readAll(process.stdout), readAll(process.stderr)]);
        expect([out, err]).toEqual(["out\n", "err\n"]);
        expect(await process.exited).toEqual({ code });
        const late = await container
          .start({ args: ["true"] })
          .then(({ exited }) => exited)
          .catch((error: unknown) => error);
        expect(late).not.toEqual({ code: 0 });
        await container.release();
      }
      const container = await gateway.newContainer({ mounts: [{ target: "/", ref }] });
      const missing = await container.start({ args: ["no-such-command"] });
      expect(await missing.exited).not.toEqual({ code: 0 });
      await expect(container.start({ args: [] })).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    });
  });

  it("ContainerPID1Tty: gives a process a terminal of a certain size, and talks through it", async () => {
    await inGateway(async (gateway) => {
      const container = await gateway.newContainer({
        mounts: [{ target: "/", ref: await refOf(gateway, busybox()) }],
      });
      const process = await container.start({ args: ["sh"], tty: true, env: { PS1: "> " } });
      expect(process.stderr).toBeNull();
      let seen = "";
      const finished = (async () => {
        for await (const chunk of process.stdout ?? []) seen += String(chunk);
      })();
      const until = async (pattern: RegExp): Promise<void> => {
        for (let tries = 0; !pattern.test(seen); tries += 1) {
          if (tries > 300) throw new Error(`no ${pattern} in ${JSON.stringify(seen)}`);
          await delay(20);
        }
      };
      await process.resize({ rows: 42, columns: 123 });
      // A terminal may take its size a little later than the shell its first line.
      process.stdin?.write('while [ "$(stty size)" != \'42 123\' ]; do sleep 0.1; done; echo si""zed\n');
      await until(/sized/);
      process.stdin?.write("cd /tmp && pwd\n");
      await until(/\/tmp\r\n/);
      process.stdin?.write("exit 7\n");
      expect(await process.exited).toEqual({ code: 7 });
      await finished;
    });
  });

  it("ContainerSignal: sends signals by name", async ({ skip }) => {
    const { frontendCaps } = await client.facts();
    if (!frontendCaps.has("gateway.exec.signals")) skip(`${name} has no gateway.exec.signals`);
    await inGateway(async (gateway) => {
      const ref = await refOf(gateway, busybox());
      for (const [signal, code] of [
        ["SIGKILL", 137],
        ["INT", 3],
      ] as const) {
        const container = await gateway.newContainer({ mounts: [{ target: "/", ref }] });
        const process = await container.start({
          args: shell("trap 'exit 3' INT; echo ready; while :; do sleep 0.1; done"),
        });
        await new Promise((resolve) => process.stdout?.once("data", resolve));
        await process.signal(signal);
        expect(await process.exited).toEqual({ code });
        await container.release();
      }
    });
  });

  it("kills a process when its signal is aborted", async () => {
    await inGateway(async (gateway) => {
      const container = await gateway.newContainer({
        mounts: [{ target: "/", ref: await refOf(gateway, busybox()) }],
      });
      const abort = new AbortController();
      const process = await container.start({ args: ["sleep", "600"], signal: abort.signal });
      const reason = new Error("enough");
      abort.abort(reason);
      await expect(process.exited).rejects.toBe(reason);
      await container.release();
    });
  });

  it("ExecError: reopens the mounts of the command that failed", async () => {
    await inGateway(async (gateway) => {
      const scratchpad = scratch().file(mkfile("/given", "given"));
      const failing = busybox()
        .addEnv("WHO", "me")
        .run(shell(`echo "left by $WHO" > /pad/left; echo root > /in-root; exit 5 # ${Math.random()}`), {
          mounts: [{ target: "/pad", source: scratchpad }],
          dir: "/tmp",
        })
        .root();
      const error: unknown = await gateway.solve({ definition: marshal(failing), evaluate: true }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ exitCode: 5 });
      const { container, process } = await gateway.reopen(error);
      expect(process).toMatchObject({ cwd: "/tmp", env: { WHO: "me" } });
      const look = await container.start({
        ...process,
        args: shell('cat /pad/left /pad/given /in-root; echo "$WHO in $PWD"'),
      });
      expect(await readAll(look.stdout)).toBe("left by me\ngivenroot\nme in /tmp\n");
      expect(await look.exited).toEqual({ code: 0 });
      await container.release();
      await expect(gateway.reopen(new Error("another"))).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    });
  });

  it("ContainerMounts: mounts refs, caches, memory and secrets, and reads them from outside", async () => {
    await inGateway(
      async (gateway) => {
        const [root, extra] = await Promise.all([
          refOf(gateway, busybox()),
          refOf(gateway, scratch().file(mkdir("/deep")).file(mkfile("/deep/file", "from ref"))),
        ]);
        const container = await gateway.newContainer({
          hostname: "kilnhost",
          extraHosts: [{ host: "somewhere", ip: "10.11.12.13" }],
          mounts: [
            { target: "/", ref: root },
            { target: "/ref", ref: extra, sourcePath: "/deep", readonly: true },
            { target: "/cache", cache: { id: `gateway-${name}-${Date.now()}`, sharing: "private" } },
            { target: "/mem", tmpfs: true },
            { target: "/run/secrets/s", secret: { id: "s", mode: 0o444 } },
            { target: "/run/secrets/none", secret: { id: "none", optional: true } },
          ],
        });
        const process = await container.start({
          args: shell(
            "cat /ref/file /run/secrets/s; echo; ls /run/secrets; touch /ref/x 2>/dev/null || echo readonly; " +
              "echo c > /cache/c; echo m > /mem/m; grep -c ' /mem tmpfs' /proc/mounts; hostname; " +
              'grep -o 10.11.12.13 /etc/hosts; printf "%s\\n" "$TOKEN"; echo made > /made; sleep 30',
          ),
          secretEnv: [{ id: "s", name: "TOKEN" }],
        });
        let seen = "";
        for await (const chunk of process.stdout ?? []) {
          seen += String(chunk);
          if (seen.split("\n").length > 7) break;
        }
        expect(seen).toBe("from refhidden\ns\nreadonly\n1\nkilnhost\n10.11.12.13\nhidden\n");
        const { frontendCaps } = await client.facts();
        if (frontendCaps.has("gateway.exec.filesystem")) {
          expect(text(await container.readFile("/made"))).toBe("made\n");
          expect(text(await container.readFile("/ref/file"))).toBe("from ref");
          expect(text(await container.readFile("/cache/c"))).toBe("c\n");
          expect(await container.statFile("/ref/file")).toMatchObject({ type: "file", size: 8n });
          expect((await container.readDir("/cache")).map(({ path }) => path)).toEqual(["c"]);
        } else {
          await expect(container.readFile("/made")).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
        }
        await container.release();
      },
      { secrets: { s: "hidden" } },
    );
  });

  it("refuses containers that cannot be", async () => {
    await inGateway(async (gateway) => {
      const ref = await refOf(gateway, busybox());
      const refused = { code: "ERR_KILN_INVALID_ARGUMENT" };
      await expect(gateway.newContainer({ mounts: [] })).rejects.toMatchObject(refused);
      await expect(gateway.newContainer({ mounts: [{ target: "relative", ref }] })).rejects.toMatchObject(
        refused,
      );
      await expect(
        gateway.newContainer({
          mounts: [
            { target: "/", ref },
            { target: "/x", tmpfs: true, secret: { id: "s" } },
          ],
        }),
      ).rejects.toMatchObject(refused);
    });
  });

  it("ends on the daemon when it is aborted", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const build = client.build(
      async (gateway) => {
        setTimeout(() => abort.abort(reason), 300);
        return gateway.solve({
          definition: marshal(
            busybox()
              .run(shell(`sleep 600 # ${Math.random()}`))
              .root(),
          ),
          evaluate: true,
        });
      },
      { signal: abort.signal },
    );
    await expect(build.result).rejects.toBe(reason);
    for (let tries = 0; tries < 100; tries += 1) {
      const active = await client.history({ activeOnly: true });
      if (!active.some(({ ref }) => ref === build.ref)) return;
      await delay(100);
    }
    throw new Error("the build still runs on the daemon");
  });
});
