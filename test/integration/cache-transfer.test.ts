import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { copy, marshal, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import {
  Client,
  type ClientSolveResult,
  localDir,
  registry as registryOutput,
  type SolveEvent,
} from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cache-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const shell = (script: string): string[] => ["/bin/sh", "-c", script];

describeEachEngine("caches that travel", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const id = `${name}-${Date.now()}-${Math.random().toString(36).slice(2)}`;

  /** A file of random bytes and a constant one: what comes back tells whether the steps ran again. */
  function randomChain(salt: string): State {
    const step = registryImage(`${registry()}/library/busybox:1.36`)
      .run(shell(`head -c 16 /dev/urandom | od -An -tx1 > /unique; echo ${id} ${salt} > /const`))
      .root();
    return scratch()
      .file(copy(step, { src: "/const", dest: "/" }))
      .file(copy(step, { src: "/unique", dest: "/" }));
  }

  async function build(
    state: State,
    options: Parameters<Client["solve"]>[1] = {},
  ): Promise<{ unique: string; result: ClientSolveResult; events: SolveEvent[] }> {
    const out = mkdtempSync(join(dir, "out-"));
    const solve = client.solve(marshal(state), {
      ...options,
      outputs: [localDir(out), ...(options.outputs ?? [])],
    });
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    const result = await solve.result;
    return { unique: readFileSync(join(out, "unique"), "utf8"), result, events };
  }

  async function forget(): Promise<void> {
    await client.prune({ all: true });
  }

  it("BasicLocalCacheImportExport: a directory gives back what it was given", async () => {
    const cache = join(mkdtempSync(join(dir, "local-")), "ünïcode cache");
    const chain = randomChain("local");
    const first = await build(chain, { cacheExports: [{ type: "local", dir: cache, mode: "max" }] });
    expect(first.result.ignoredFailures).toEqual([]);
    await forget();
    const second = await build(chain, { cacheImports: [{ type: "local", dir: cache }] });
    expect(second.unique).toBe(first.unique);
    await forget();
    const without = await build(chain);
    expect(without.unique).not.toBe(first.unique);
  });

  it("keeps several caches in one directory by tag, and removes what no tag names when told to", async () => {
    const cache = mkdtempSync(join(dir, "tags-"));
    const blobs = (): string[] => readdirSync(join(cache, "blobs/sha256"));
    const a = await build(randomChain("a"), {
      cacheExports: [{ type: "local", dir: cache, mode: "max", tag: "a" }],
    });
    const b = await build(randomChain("b"), {
      cacheExports: [{ type: "local", dir: cache, mode: "max", tag: "b" }],
    });
    await forget();
    const options = (tag: string) => ({ cacheImports: [{ type: "local" as const, dir: cache, tag }] });
    expect((await build(randomChain("a"), options("a"))).unique).toBe(a.unique);
    expect((await build(randomChain("b"), options("b"))).unique).toBe(b.unique);
    writeFileSync(join(cache, "blobs/sha256", "0".repeat(64)), "loose");
    const before = blobs().length;
    await build(randomChain("c"), {
      cacheExports: [{ type: "local", dir: cache, mode: "max", tag: "a", reset: true }],
    });
    expect(blobs()).not.toContain("0".repeat(64));
    expect(blobs().length).toBeLessThan(before + 3);
    await forget();
    expect((await build(randomChain("b"), options("b"))).unique).toBe(b.unique);
    expect((await build(randomChain("a"), options("a"))).unique).not.toBe(a.unique);
  });

  it("says that there is nothing to import, and builds", async () => {
    const { events } = await build(randomChain("none"), {
      cacheImports: [{ type: "local", dir: join(dir, "no-such-cache") }],
    });
    const warning = events.find((event) => event.type === "warning");
    expect(warning).toMatchObject({ message: expect.stringContaining("no-such-cache") });
  });

  it("BasicRegistryCacheImportExport: a registry gives back what it was given", async () => {
    const ref = `${registry()}/cache/${id}:registry`;
    const chain = randomChain("registry");
    const first = await build(chain, {
      cacheExports: [{ type: "registry", ref, mode: "max", compression: "zstd", imageManifest: true }],
    });
    await forget();
    const second = await build(chain, { cacheImports: [{ type: "registry", ref }] });
    expect(second.unique).toBe(first.unique);
  });

  it("BasicInlineCacheImportExport: a pushed image carries its own cache", async () => {
    const ref = `${registry()}/cache/${id}:inline`;
    const chain = randomChain("inline");
    const first = await build(chain, { outputs: [registryOutput(ref)], cacheExports: [{ type: "inline" }] });
    const image = await readRegistryImage(ref);
    expect(Object.keys(image.config)).toContain("moby.buildkit.cache.v0");
    await forget();
    const second = await build(chain, {
      outputs: [registryOutput(`${ref}-again`)],
      cacheExports: [{ type: "inline" }],
      cacheImports: [{ type: "registry", ref }],
    });
    expect(second.unique).toBe(first.unique);
    expect((await readRegistryImage(`${ref}-again`)).manifest.layers.map(({ digest }) => digest)).toEqual(
      image.manifest.layers.map(({ digest }) => digest),
    );
  });

  it("MultipleCacheExports: one build writes several caches, each of which is whole", async () => {
    const dirs = [mkdtempSync(join(dir, "m1-")), mkdtempSync(join(dir, "m2-"))] as const;
    const ref = `${registry()}/cache/${id}:multi`;
    const image = `${registry()}/cache/${id}:multi-image`;
    const chain = randomChain("multi");
    const first = await build(chain, {
      outputs: [registryOutput(image)],
      cacheExports: [
        { type: "local", dir: dirs[0] },
        { type: "local", dir: dirs[1], mode: "max", compression: "uncompressed" },
        { type: "registry", ref, mode: "max" },
        { type: "inline" },
      ],
    });
    for (const from of [
      { type: "local", dir: dirs[0] },
      { type: "local", dir: dirs[1] },
      { type: "registry", ref },
      { type: "registry", ref: image },
    ] as const) {
      await forget();
      expect((await build(chain, { cacheImports: [from] })).unique).toBe(first.unique);
    }
    await expect(
      build(chain, {
        cacheExports: [
          { type: "local", dir: dirs[0] },
          { type: "local", dir: `${dirs[0]}/`, mode: "max" },
        ],
      }),
    ).rejects.toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
  });

  it("CacheExportIgnoreError: fails or goes on and says so, as it was told", async () => {
    const broken = { type: "registry", ref: "127.0.0.1:1/no/such:registry" } as const;
    await expect(build(randomChain("broken"), { cacheExports: [broken] })).rejects.toThrow(/127\.0\.0\.1:1/);
    const { result } = await build(randomChain("broken"), {
      cacheExports: [{ ...broken, ignoreError: true }],
    });
    expect(result.ignoredFailures).toHaveLength(1);
    expect(result.ignoredFailures[0]?.error).toContain("127.0.0.1:1");
  });

  it("tells which import failed, although the daemon builds on in silence", async () => {
    const { result } = await build(randomChain("lost"), {
      cacheImports: [{ type: "registry", ref: `${registry()}/cache/no-such-${id}:x` }],
    });
    expect(result.ignoredFailures).toHaveLength(1);
    expect(result.ignoredFailures[0]?.error).toContain(`no-such-${id}`);
  });

  it("hands imports to the solves of a build function", async () => {
    const cache = mkdtempSync(join(dir, "gateway-"));
    const chain = randomChain("gateway");
    const first = await build(chain, { cacheExports: [{ type: "local", dir: cache, mode: "max" }] });
    await forget();
    let unique = "";
    await client.build(
      async (gateway): Promise<undefined> => {
        const { ref } = await gateway.solve({ definition: marshal(chain) });
        unique = new TextDecoder().decode(await ref?.readFile("/unique"));
      },
      { cacheImports: [{ type: "local", dir: cache }] },
    ).result;
    expect(unique).toBe(first.unique);
  });
});
