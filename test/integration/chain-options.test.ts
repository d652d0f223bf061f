import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type BuildEvent,
  type BuildOptions,
  type BuildResult,
  defineStep,
  Engine,
  Image,
  localDir,
  registry as registryOutput,
} from "../../src/index.js";
import { elsewhere } from "./support/elsewhere.js";
import { describeEachEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-chain-options-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

interface Shell {
  readonly script: string;
  readonly secrets?: readonly { readonly id: string; readonly target: string }[];
  readonly ssh?: readonly { readonly id: string }[];
  readonly network?: "host";
}

/** A command with what the built-in steps do not take. */
const shellStep = defineStep<Shell, Shell>({
  id: "shell",
  version: 1,
  validate: (input) => input,
  title: ({ script }) => `shell ${script}`,
  lower: (chain, { script, ...options }, context) => ({
    ...chain,
    state: chain.state.run(["/bin/sh", "-c", script], { ...context.constraints("shell"), ...options }).root(),
  }),
});

const unique = (): string => `${Date.now()}-${Math.random().toString(36).slice(2)}`;
const base = (): Image => Image.fromRegistry("busybox:latest");

async function digestsOf(ref: string): Promise<readonly string[]> {
  const [, host, name, tag] = /^([^/]+)\/(.+):([^:/]+)$/.exec(ref) ?? [];
  const get = async (path: string): Promise<Record<string, unknown>> => {
    const accept =
      "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
    const response = await fetch(`http://${host}/v2/${name}/${path}`, { headers: { accept } });
    return (await response.json()) as Record<string, unknown>;
  };
  const index = (await get(`manifests/${tag}`)) as { manifests?: { digest: string }[] };
  const types: string[] = [];
  for (const { digest } of index.manifests ?? []) {
    const manifest = (await get(`manifests/${digest}`)) as {
      layers?: { annotations?: Record<string, string> }[];
    };
    for (const { annotations } of manifest.layers ?? []) {
      const type = annotations?.["in-toto.io/predicate-type"];
      if (type !== undefined) types.push(type);
    }
  }
  return types;
}

describeEachEngine("a chain's build", ({ name, address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address });
  });
  afterAll(() => engine.close());

  async function filesOf(
    image: Image,
    options: BuildOptions = {},
    on: Engine = engine,
  ): Promise<{ out: string; result: BuildResult; events: BuildEvent[] }> {
    const out = mkdtempSync(join(dir, "out-"));
    const build = on.build(image, {
      ...options,
      outputs: [localDir(out), ...(options.outputs ?? [])],
    });
    const events: BuildEvent[] = [];
    for await (const event of build) events.push(event);
    return { out, result: await build.result, events };
  }

  it("is all cached on another engine that imports the cache that this one exported", async () => {
    const ref = `${registry()}/chain-options/${name}:${unique()}`;
    const image = base().runCommands(`echo ${ref} > /mark`, "head -c 16 /dev/urandom > /unique");
    const first = await filesOf(image, { cacheExports: [{ type: "registry", ref, mode: "max" }] });
    expect(first.result.cache.ran).toBe(1);
    await using second = await Engine.connect({ host: elsewhere({ name, address }) });
    const out = mkdtempSync(join(dir, "other-"));
    const { cache, ignoredFailures } = await second.build(image, {
      cacheImports: [{ type: "registry", ref }],
      outputs: [localDir(out)],
    }).result;
    expect(ignoredFailures).toEqual([]);
    expect(cache).toMatchObject({ ran: 0, cached: 2 });
    expect(readFileSync(join(out, "unique"))).toEqual(readFileSync(join(first.out, "unique")));
  });

  it("keeps a local cache in a directory relative to cwd, and says what could not be imported", async () => {
    const image = base().runCommands(`echo ${unique()}; head -c 16 /dev/urandom > /unique`);
    const cwd = mkdtempSync(join(dir, "cwd-"));
    const first = await filesOf(image, {
      cwd,
      cacheExports: [{ type: "local", dir: "cache", mode: "max" }],
    });
    expect(existsSync(join(cwd, "cache/index.json"))).toBe(true);
    await using other = await Engine.connect({ host: elsewhere({ name, address }) });
    const lost = `${registry()}/chain-options/no-such-${unique()}:x`;
    const cacheImports = [
      { type: "local", dir: "cache" },
      { type: "registry", ref: lost },
      { type: "local", dir: "no-such-cache" },
    ] as const;
    const second = await filesOf(image, { cwd, cacheImports }, other);
    expect(readFileSync(join(second.out, "unique"))).toEqual(readFileSync(join(first.out, "unique")));
    expect(second.result.ignoredFailures.map(({ error }) => error).join()).toContain(lost.split(":x")[0]);
    expect(second.events.filter(({ type }) => type === "warning")).toMatchObject([
      { message: expect.stringContaining("no-such-cache") },
    ]);
  });

  it("leaves provenance in the pushed index", async () => {
    const ref = `${registry()}/chain-options/${name}-provenance:${unique()}`;
    const { digest, exporterResponse } = await engine.build(base().runCommands("true"), {
      outputs: [registryOutput(ref)],
      attestations: { provenance: { mode: "max" } },
    }).result;
    expect(exporterResponse["containerimage.digest"]).toBe(digest);
    expect(await digestsOf(ref)).toEqual([expect.stringContaining("slsa.dev/provenance")]);
  });

  it("gives secrets and ssh sockets to steps, from files and sockets relative to cwd", async () => {
    const cwd = mkdtempSync(join(dir, "s-"));
    writeFileSync(join(cwd, "token"), "from a file");
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.on("error", () => {});
      socket.end();
    });
    await new Promise<void>((resolve) => server.listen(join(cwd, "sock"), resolve));
    try {
      const image = base().step(shellStep, {
        script: `cp /run/secrets/t /out; test -S "$SSH_AUTH_SOCK" && echo ", a socket" >> /out # ${unique()}`,
        secrets: [{ id: "t", target: "/run/secrets/t" }],
        ssh: [{ id: "db" }],
      });
      const out = mkdtempSync(join(dir, "out-"));
      await engine.build(image, {
        cwd,
        secrets: { t: { file: "token" } },
        ssh: { db: { socket: "sock" } },
        outputs: [localDir(out)],
      }).result;
      expect(readFileSync(join(out, "out"), "utf8")).toBe("from a file, a socket\n");
      expect(connections).toBeGreaterThan(0);
      const lost = base().step(shellStep, {
        script: `cat /run/secrets/t # ${unique()}`,
        secrets: [{ id: "t", target: "/run/secrets/t" }],
      });
      await expect(
        engine.build(lost, { cwd, secrets: { t: { file: "gone" } } }).result,
      ).rejects.toMatchObject({
        code: "ERR_KILN_SECRET_NOT_FOUND",
        message: expect.stringContaining(join(cwd, "gone")),
      });
    } finally {
      server.close();
    }
  });

  it("keeps its base to the source policy: converted, or denied with the place of the call", async () => {
    const selector = { identifier: "docker-image://docker.io/library/no-such-base:latest" };
    const image = Image.fromRegistry("no-such-base:latest").runCommands("test -x /bin/busybox");
    const identifier = `docker-image://${registry()}/library/busybox:1.36`;
    await engine.build(image, {
      sourcePolicy: { rules: [{ action: "convert", selector, updates: { identifier } }] },
    }).result;
    const denied = engine.build(base(), {
      sourcePolicy: {
        rules: [{ action: "deny", selector: { identifier: "docker-image://*/library/busybox:*" } }],
      },
    });
    await expect(denied.result).rejects.toMatchObject({
      message: expect.stringMatching(/den(y|ied)|policy/i),
      location: { file: import.meta.filename },
    });
  });

  it("needs its rights, and stays out of the history if told to", async () => {
    const image = base().step(shellStep, { script: `echo ${unique()}`, network: "host" });
    await expect(engine.build(image).result).rejects.toMatchObject({ code: "ERR_KILN_ENTITLEMENT" });
    const { ref } = await engine.build(image, { entitlements: ["network.host"], internal: true }).result;
    const client = await engine.client();
    expect((await client.history()).map((record) => record.ref)).not.toContain(ref);
  });

  it("refuses before anything runs what the daemon is too old for", async () => {
    const refused = async (options: BuildOptions): Promise<void> => {
      await expect(engine.build(base(), options).result).rejects.toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
      });
    };
    await refused({ compatibilityVersion: 20 });
    await refused({ verifySource: () => ({ action: "allow" }) });
    const cwd = mkdtempSync(join(dir, "chosen-"));
    const chooseOutputs = (): ReturnType<NonNullable<BuildOptions["chooseOutputs"]>> => [localDir("later")];
    if (name === "older") await refused({ chooseOutputs });
    else {
      const { outputs } = await engine.build(base(), { cwd, chooseOutputs }).result;
      expect(outputs).toEqual([{ type: "local", target: join(cwd, "later"), digest: undefined }]);
      expect(existsSync(join(cwd, "later/bin/busybox"))).toBe(true);
    }
  });

  it("throws at the call for what is wrong in it", () => {
    const thrown = (options: unknown): unknown => {
      try {
        return engine.build(base(), options as BuildOptions);
      } catch (error) {
        return error;
      }
    };
    const unknown = expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION" });
    const invalid = expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" });
    expect(thrown({ cache_exports: [] })).toEqual(unknown);
    expect(thrown({ trees: new Map() })).toEqual(unknown);
    expect(thrown({ cacheExports: [{ type: "registry" }] })).toEqual(invalid);
    expect(thrown({ attestations: { provenanz: true } })).toEqual(unknown);
    expect(thrown({ entitlements: "network.host" })).toEqual(invalid);
    expect(thrown({ outputs: ["oci:./out"] })).toEqual(invalid);
    expect(thrown({ ssh: { default: true } })).toEqual(invalid);
    const secret = thrown({ secrets: { t: { value: "hush" } } }) as Error;
    expect(secret).toEqual(invalid);
    expect(secret.message).not.toContain("hush");
  });
});
