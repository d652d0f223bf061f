import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, image as registryImage } from "../../src/llb/index.js";
import { Client, filesTar, type SolveEvent } from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

describeEachEngine("the daemon's build history", ({ name, address }) => {
  let client: Client;
  let dir: string;
  beforeAll(async () => {
    client = await Client.connect(address);
    dir = mkdtempSync(join(tmpdir(), "kiln-history-"));
  });
  afterAll(async () => {
    await client.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = (script: string) =>
    marshal(registryImage(`${registry()}/library/busybox:1.36`).run(["/bin/sh", "-c", script]).root());

  const printed = (events: readonly SolveEvent[]) =>
    events.flatMap((event) => (event.type === "log" ? [event.text] : [])).join("");

  it("tells what a build did, and forgets it when told to", async () => {
    const solve = client.solve(run(`echo kept-${Date.now()}`), { outputs: [filesTar(join(dir, "out.tar"))] });
    const { ref } = await solve.result;
    const [record, ...others] = await client.history({ ref });
    expect(others).toEqual([]);
    expect(record).toMatchObject({
      ref,
      state: "complete",
      exporters: name === "older" ? [] : ["tar"],
      error: undefined,
      pinned: false,
    });
    expect(record?.steps.total).toBeGreaterThanOrEqual(2);
    expect(record?.completedAt?.getTime()).toBeGreaterThanOrEqual(record?.createdAt?.getTime() ?? Infinity);

    const all = await client.history();
    const times = all.map(({ createdAt }) => createdAt?.getTime() ?? 0);
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect(await client.history({ limit: 1 })).toHaveLength(1);

    await client.pinHistory(ref, true);
    expect(await client.history({ ref })).toMatchObject([{ pinned: true }]);
    await client.pinHistory(ref, false);
    expect(await client.history({ ref })).toMatchObject([{ pinned: false }]);

    await client.deleteHistory(ref);
    expect(await client.history({ ref })).toEqual([]);
    await expect(client.deleteHistory(ref)).rejects.toMatchObject({ code: "ERR_KILN_BUILD_NOT_FOUND" });
    await expect(client.pinHistory(ref, true)).rejects.toMatchObject({ code: "ERR_KILN_BUILD_NOT_FOUND" });
  });

  it("keeps why a build failed, and leaves out internal builds", async () => {
    const failed = client.solve(run(`echo why-${Date.now()}; exit 7`));
    await expect(failed.result).rejects.toMatchObject({ code: "ERR_KILN_STEP_FAILED" });
    const [record] = await client.history({ ref: failed.ref });
    expect(record?.error?.message).toContain("exit code: 7");
    const internal = client.solve(run(`echo internal-${Date.now()}`), { internal: true });
    await internal.result;
    expect(await client.history({ ref: internal.ref })).toEqual([]);
  });

  it("is followed by another client while the build runs, and replayed when it is over", async () => {
    const mark = `mark-${Date.now()}`;
    const solve = client.solve(run(`echo ${mark}-begin; sleep 3; echo ${mark}-end`));
    await using other = await Client.connect(address);
    const live: SolveEvent[] = [];
    let running: readonly { readonly ref: string }[] = [];
    for await (const event of other.follow(solve.ref)) {
      live.push(event);
      if (event.type === "log" && event.text.includes(`${mark}-begin`)) {
        running = await other.history({ activeOnly: true });
      }
    }
    expect(running).toEqual(
      expect.arrayContaining([expect.objectContaining({ ref: solve.ref, state: "running" })]),
    );
    expect(printed(live)).toBe(`${mark}-begin\n${mark}-end\n`);
    await solve.result;

    const replayed: SolveEvent[] = [];
    for await (const event of other.follow(solve.ref)) replayed.push(event);
    expect(printed(replayed)).toBe(printed(live));
    expect(replayed.filter(({ type }) => type === "vertex.done").length).toBeGreaterThan(0);
  });

  it("is left without harm to the build", async () => {
    const solve = client.solve(run(`echo left-${Date.now()}; sleep 2`));
    await using other = await Client.connect(address);
    for await (const event of other.follow(solve.ref)) if (event.type === "log") break;
    await solve.result;
  });

  it("does not know what was never built", async () => {
    const following = client.follow("no-such-build").next();
    await expect(following).rejects.toMatchObject({ code: "ERR_KILN_BUILD_NOT_FOUND" });
    expect(() => client.follow("")).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }));
    const misspelt = { Signal: undefined } as object;
    expect(() => client.follow("ref", misspelt)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION" }),
    );
    await expect(client.pinHistory("ref", true, misspelt)).rejects.toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
    });
    await expect(client.history({ limit: 0 })).rejects.toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
    const reason = new Error("enough");
    await expect(client.history({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
