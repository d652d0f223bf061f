import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Control } from "../../src/gen/moby/buildkit/v1/control_pb.js";
import { copy, marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { createClient } from "../../src/rpc/typed-client.js";
import {
  type CacheExport,
  type CacheImport,
  Client,
  type ClientSolveOptions,
  type ClientSolveResult,
  localDir,
  ociLayout,
} from "../../src/solver/index.js";
import { newerOps } from "../conformance/states/beyond-engines.js";
import { actionsCache, actionsToken, refusingCloud } from "./support/cloud-stub.js";
import { describeEachEngine, registry } from "./support/engines.js";

// What engines are too old for or were built without. The bytes, and what a daemon's answers become, are in
// test/unit/solver/beyond-engines.test.ts.

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-beyond-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const minor = (version: string): number => Number(version.split(".")[1]);

describeEachEngine("what engines are too old for", ({ name, address }) => {
  let client: Client;
  let found: string;
  beforeAll(async () => {
    client = await Client.connect(address);
    found = (await client.facts()).buildkitVersion ?? "";
  });
  afterAll(() => client.close());

  describe.each(newerOps)("$title", ({ state, cap, needs, unsent }) => {
    it("is refused by name and version, and by the engine itself", async () => {
      const { llbCaps } = await client.facts();
      // The table of versions agrees with what the engine lists.
      expect(llbCaps.has(cap)).toBe(minor(found) >= minor(needs));
      if (llbCaps.has(cap)) return;
      const definition = marshal(state());
      await expect(client.solve(definition).result).rejects.toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
        message: `the daemon at ${address} does not support ${cap} (BuildKit ${found}; needs ${needs} or newer)`,
      });
      if (unsent === true) return;
      // Past the preflight.
      const raw = createClient(Control, client.connection).solve({
        Ref: `beyond-${name}-${Date.now()}-${Math.random()}`,
        Definition: definition.toMessage(),
      });
      await expect(raw).rejects.toThrow(`unknown API capability ${cap}`);
    });
  });

  const options: readonly (readonly [string, string, () => ClientSolveOptions])[] = [
    ["compatibilityVersion", "0.30", () => ({ compatibilityVersion: 20 })],
    ["proxyNetwork", "0.31", () => ({ proxyNetwork: true })],
    ["verifySource", "0.26", () => ({ verifySource: () => ({ action: "allow" }) })],
    ["chooseOutputs", "0.21", () => ({ chooseOutputs: () => [] })],
    [
      'localDir\'s mode "delete"',
      "0.31",
      () => ({ outputs: [localDir(join(dir, `delete-${name}`), { mode: "delete" })] }),
    ],
    [
      "ociArtifact",
      "0.19",
      () => ({ outputs: [ociLayout(join(dir, `artifact-${name}`), { ociArtifact: true })] }),
    ],
    [
      "urlV2 of a gha cache",
      "0.20",
      () => ({ cacheImports: [{ type: "gha", urlV2: "http://127.0.0.1:1/", token: actionsToken() }] }),
    ],
  ];
  it.each(options)(
    "%s is refused before BuildKit %s, and taken from then on",
    async (called, needs, make) => {
      const solve = client.solve(marshal(scratch().file(mkfile("/a", "a"))), make());
      if (minor(found) >= minor(needs)) {
        await solve.result;
        return;
      }
      await expect(solve.result).rejects.toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
        message: `the daemon at ${address} does not know ${called} (BuildKit ${found}; needs ${needs} or newer)`,
      });
    },
  );

  it("the files of a container are refused before 0.27", async () => {
    const { frontendCaps } = await client.facts();
    expect(frontendCaps.has("gateway.exec.filesystem")).toBe(minor(found) >= 27);
    if (minor(found) >= 27) return;
    await client.build(async (gateway): Promise<undefined> => {
      const { ref } = await gateway.solve({
        definition: marshal(registryImage(`${registry()}/library/busybox:1.36`)),
      });
      const container = await gateway.newContainer({ mounts: [{ target: "/", ref }] });
      for (const call of [container.readFile("/f"), container.readDir("/"), container.statFile("/f")]) {
        await expect(call).rejects.toMatchObject({
          code: "ERR_KILN_UNSUPPORTED",
          message: expect.stringContaining("needs 0.27 or newer"),
        });
      }
      await container.release();
    }).result;
  });
});

describeEachEngine("caches of clouds", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());
  const id = `${name}-${Date.now()}-${Math.random().toString(36).slice(2)}`;

  async function build(
    options: ClientSolveOptions,
    salt: string,
  ): Promise<{ readonly unique: string; readonly result: ClientSolveResult }> {
    const out = mkdtempSync(join(dir, "out-"));
    const step = registryImage(`${registry()}/library/busybox:1.36`).run([
      ...["/bin/sh", "-c"],
      `head -c 16 /dev/urandom | od -An -tx1 > /unique # ${id} ${salt}`,
    ]);
    const state = scratch().file(copy(step.root(), { src: "/unique", dest: "/" }));
    const result = await client.solve(marshal(state), { ...options, outputs: [localDir(out)] }).result;
    return { unique: readFileSync(join(out, "unique"), "utf8"), result };
  }

  it("gha: is written to and read from GitHub's service", async () => {
    await using cloud = await actionsCache();
    const token = actionsToken();
    const cache = { type: "gha", url: cloud.url, token, scope: `scope-${name}` } as const;
    const first = await build({ cacheExports: [{ ...cache, mode: "max" }] }, "gha");
    for (const { headers } of cloud.requests.filter(({ path }) => path.startsWith("/_apis/"))) {
      expect(headers.authorization).toBe(`Bearer ${token}`);
    }
    const reserved = cloud.requests
      .filter(({ method, path }) => method === "POST" && path.endsWith("/caches"))
      .map(({ body }) => (JSON.parse(String(body)) as { readonly key: string }).key);
    expect(reserved.some((key) => key.startsWith(`index-scope-${name}-1-`))).toBe(true);
    expect(reserved.some((key) => key.startsWith("buildkit-blob-1-sha256:"))).toBe(true);
    await client.prune({ all: true });
    const second = await build({ cacheImports: [cache] }, "gha");
    expect(second.result.ignoredFailures).toEqual([]);
    expect(second.unique).toBe(first.unique);
  });

  it("gha: speaks version 2 of the service where it is told to", async ({ skip }) => {
    await using cloud = await refusingCloud();
    const token = actionsToken();
    const cache = { type: "gha", urlV2: cloud.url, version: "2", token, scope: "two" } as const;
    const solve = build({ cacheExports: [{ ...cache, mode: "max", ignoreError: true }] }, "gha2");
    if (minor((await client.facts()).buildkitVersion ?? "") < 20) {
      const refusal = await solve.catch((error: Error & { code: string }) => error);
      expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      skip(`${name}: ${(refusal as Error).message}`);
    }
    expect((await solve).result.ignoredFailures).toMatchObject([{ error: expect.stringContaining("403") }]);
    const [asked] = cloud.requests;
    expect(asked).toMatchObject({ method: "POST", headers: { authorization: `Bearer ${token}` } });
    expect(asked?.path).toMatch(/^\/twirp\/github\.actions\.results\.api\.v1\.CacheService\//);
  });

  const others: readonly (CacheExport & CacheImport)[] = [
    { type: "s3", bucket: "b", region: "r", accessKeyId: "k", secretAccessKey: "cloud-hush" },
    { type: "azblob", accountUrl: "a", accountName: "n", container: "c", secretAccessKey: "cloud-hush" },
  ];
  it.each(others)(
    "$type: a Docker does not have it, which the build survives where it may",
    async (cache) => {
      await using cloud = await refusingCloud();
      const here =
        cache.type === "s3" ? { ...cache, endpointUrl: cloud.url } : { ...cache, accountUrl: cloud.url };
      const refusal = await build({ cacheExports: [here] }, cache.type).catch((error: Error) => error);
      expect(refusal).toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
        message: `unknown cache exporter: "${cache.type}"`,
        hint: expect.stringContaining("gha"),
      });
      const { result } = await build({ cacheImports: [here] }, cache.type);
      expect(result.ignoredFailures).toMatchObject([{ error: `unknown cache importer: ${cache.type}` }]);
      expect(JSON.stringify([(refusal as Error).message, result.ignoredFailures])).not.toContain(
        "cloud-hush",
      );
      expect(cloud.requests).toEqual([]);
    },
  );
});
