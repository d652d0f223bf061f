import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, image as registryImage } from "../../src/llb/index.js";
import { type CacheRecord, Client, localDir } from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

describeEachEngine("the daemon's build cache", ({ name, address }) => {
  let client: Client;
  let dir: string;
  const cacheId = `kiln-cache-control-${name}-${Date.now()}`;
  beforeAll(async () => {
    client = await Client.connect(address);
    dir = mkdtempSync(join(tmpdir(), "kiln-cache-"));
  });
  afterAll(async () => {
    await client.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Fills a cache mount of the test's own and tells how much was in it before. */
  async function fill(): Promise<string> {
    const state = registryImage(`${registry()}/library/busybox:1.36`)
      .run(
        ["/bin/sh", "-c", `ls /cache | wc -l > /before; head -c 3145728 /dev/urandom > /cache/${Date.now()}`],
        {
          mounts: [{ target: "/cache", cache: { id: cacheId } }],
        },
      )
      .root();
    const out = mkdtempSync(join(dir, "out-"));
    await client.solve(marshal(state), { outputs: [localDir(out)] }).result;
    return readFileSync(join(out, "before"), "utf8").trim();
  }

  async function ownMount(): Promise<CacheRecord> {
    const { records } = await client.diskUsage({ filter: [{ type: "exec.cachemount" }] });
    const own = records.filter(
      ({ description, size }) => description.includes("/cache") && size >= 3_145_728,
    );
    const [newest] = own.sort((a, b) => Number(b.createdAt) - Number(a.createdAt));
    if (newest === undefined) throw new Error("the cache mount is not among the records");
    return newest;
  }

  it("is told record by record, with sizes, types and times", async () => {
    expect(await fill()).toBe("0");
    const all = await client.diskUsage();
    expect(all.size).toBe(all.records.reduce((sum, { size }) => sum + size, 0));
    expect(all.reclaimable).toBeLessThanOrEqual(all.size);
    const mount = await ownMount();
    expect(mount).toMatchObject({ type: "exec.cachemount", mutable: true, inUse: false });
    expect(mount.createdAt?.getTime()).toBeGreaterThan(Date.now() - 600_000);
    expect(all.records.map(({ id }) => id)).toContain(mount.id);
  });

  it("is filtered: properties together, filters as alternatives", async () => {
    const mount = await ownMount();
    const ids = async (...filter: NonNullable<Parameters<Client["diskUsage"]>[0]>["filter"] & {}) =>
      (await client.diskUsage({ filter })).records.map(({ id }) => id);
    expect(await ids({ id: mount.id, mutable: true })).toEqual([mount.id]);
    expect(await ids({ id: mount.id, mutable: false })).toEqual([]);
    expect(await ids({ description: mount.description, id: mount.id })).toEqual([mount.id]);
    const either = (await client.diskUsage({ filter: [{ id: mount.id }, { type: "regular" }] })).records;
    expect(either.map(({ id }) => id)).toContain(mount.id);
    expect(new Set(either.map(({ type }) => type))).toEqual(new Set(["exec.cachemount", "regular"]));
    const child = (await client.diskUsage()).records.find(({ parents }) => parents.length > 0);
    const parent = child?.parents[0] ?? "none";
    const children = (await client.diskUsage({ filter: [{ parent }] })).records;
    expect(children.length).toBeGreaterThan(0);
    expect(children.every(({ parents }) => parents.includes(parent))).toBe(true);
  });

  it("loses what is pruned, and nothing else", async () => {
    const mount = await ownMount();
    const filter = [{ id: mount.id }];
    expect(await client.prune({ filter, keepMs: 3_600_000 })).toEqual({ records: [], size: 0 });
    const before = (await client.diskUsage()).records.length;
    const seen: string[] = [];
    const { records, size } = await client.prune({ filter, onRecord: ({ id }) => seen.push(id) });
    expect(records.map(({ id }) => id)).toEqual([mount.id]);
    expect(seen).toEqual([mount.id]);
    expect(size).toBeGreaterThanOrEqual(3_145_728);
    expect((await client.diskUsage()).records).toHaveLength(before - 1);
    expect(await fill()).toBe("0");
    expect(await fill()).toBe("1");
  });

  it("is never pruned further than told: options that the daemon would pass over are refused", async () => {
    const { buildkitVersion } = await client.facts();
    const [, minor = 0] = (buildkitVersion ?? "0.99").split(".").map(Number);
    const filter = [{ id: "no-such-record" }];
    for (const [needed, call] of [
      [17, () => client.prune({ filter, maxUsedSpace: 2 ** 40 })],
      [17, () => client.prune({ filter, minFreeSpace: 1 })],
      [22, () => client.diskUsage({ filter, usedWithinMs: 60_000 })],
    ] as const) {
      if (minor >= needed) expect((await call()).records).toEqual([]);
      else await expect(call()).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
    }
  });

  it("is not pruned by a limit of 0, which the daemon reads as none", async () => {
    const refused = { code: "ERR_KILN_INVALID_ARGUMENT", location: { file: import.meta.filename } };
    for (const name of ["keepMs", "reservedSpace", "maxUsedSpace", "minFreeSpace"]) {
      await expect(client.prune({ filter: [{ id: "no-such-record" }], [name]: 0 })).rejects.toMatchObject(
        refused,
      );
    }
    await expect(client.diskUsage({ usedWithinMs: 0 })).rejects.toMatchObject(refused);
  });

  it("is not asked once the signal is aborted", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(client.diskUsage({ signal })).rejects.toBe(reason);
    await expect(client.prune({ filter: [{ id: "no-such-record" }], signal })).rejects.toBe(reason);
  });
});
