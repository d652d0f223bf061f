import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, image as registryImage } from "../../src/llb/index.js";
import { openOciLayout } from "../../src/oci/index.js";
import { Client, filesTar, type SolveEvent } from "../../src/solver/index.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { runCli, startCli } from "./support/run-cli.js";
import { stepGate } from "./support/step-gate.js";

describeOneEngine("older", "kiln on the daemon's history and cache", ({ name, address }) => {
  let client: Client;
  let dir: string;
  const mark = `cli-${name}-${Date.now()}`;
  beforeAll(async () => {
    client = await Client.connect(address);
    dir = mkdtempSync(join(tmpdir(), "kiln-cli-history-"));
  });
  afterAll(async () => {
    await client.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const kiln = (...args: readonly string[]) => runCli([...args, "--host", address]);
  const run = (script: string) =>
    marshal(registryImage(`${registry()}/library/busybox:1.36`).run(["/bin/sh", "-c", script]).root());

  async function built(script: string): Promise<string> {
    const solve = client.solve(run(script), { outputs: [filesTar(join(dir, "out.tar"))] });
    await solve.result.catch(() => {});
    return solve.ref;
  }

  it("lists, pins and forgets builds", async () => {
    const ref = await built(`echo ${mark}-listed`);
    const listed = await kiln("history", "ls");
    expect(listed.code).toBe(0);
    expect(listed.stdout).toMatch(/^REF +STATE +STEPS +CREATED +TOOK +OUTPUTS\n/);
    expect(listed.stdout).toMatch(new RegExp(`^${ref} +done +\\d`, "m"));
    expect(await kiln("history", "pin", ref)).toEqual({ code: 0, stdout: `${ref}\n`, stderr: "" });
    const pinned = JSON.parse((await kiln("history", "ls", "--json")).stdout) as { ref: string }[];
    expect(pinned.find((record) => record.ref === ref)).toMatchObject({ pinned: true, state: "complete" });
    expect((await kiln("history", "ls", "--limit", "1")).stdout.trim().split("\n")).toHaveLength(2);
    expect((await kiln("history", "unpin", ref)).code).toBe(0);
    expect((await kiln("history", "rm", ref)).code).toBe(0);
    expect(await client.history({ ref })).toEqual([]);
    const again = await kiln("history", "rm", ref);
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(again.stderr).toContain("[ERR_KILN_BUILD_NOT_FOUND]");
  });

  it("prints logs, inspects and exports a build", async () => {
    const ref = await built(`echo ${mark}-kept`);
    const logs = await kiln("history", "logs", ref);
    expect(logs).toMatchObject({ code: 0, stderr: "" });
    expect(logs.stdout).toContain(`| ${mark}-kept\n`);
    const events = (await kiln("history", "logs", ref, "--json")).stdout.trim().split("\n");
    expect(events.map((line) => (JSON.parse(line) as SolveEvent).type)).toContain("log");

    const [record] = await client.history({ ref });
    const inspected = await kiln("history", "inspect", ref);
    expect(inspected.code).toBe(0);
    expect(inspected.stdout).toContain(`build ${ref}\n`);
    expect(inspected.stdout).toMatch(/^ {2}state +done$/m);
    expect(inspected.stdout).toContain(record?.logs?.digest);
    expect(inspected.stdout).toMatch(/^ {2}of record +sha256:\w+ \S+ \w+ https:\/\/slsa.dev\//m);
    const data = JSON.parse((await kiln("history", "inspect", ref, "--json")).stdout) as object;
    expect(data).toMatchObject({ ref, attestations: [{ from: "record" }] });
    const provenance = record?.attestations[0]?.blob.digest ?? "";
    const blob = await kiln("history", "inspect", ref, "--blob", provenance);
    expect(blob.code).toBe(0);
    expect(JSON.parse(blob.stdout)).toHaveProperty("buildType");
    expect(await kiln("history", "inspect", ref, "--blob", "sha256:none")).toMatchObject({
      code: 2,
      stdout: "",
    });

    const file = join(dir, "build.dockerbuild");
    const exported = await kiln("history", "export", ref, "-o", file);
    expect(exported).toMatchObject({ code: 0, stdout: "" });
    expect(exported.stderr).toContain("exported 1 build, ");
    expect([...readFileSync(file).subarray(0, 2)]).toEqual([0x1f, 0x8b]);
    const layout = join(dir, "layout");
    const result = JSON.parse((await kiln("history", "export", ref, "--dir", layout, "--json")).stdout) as {
      digest: string;
    };
    expect((await openOciLayout(layout)).resolve().digest).toBe(result.digest);
    const again = await kiln("history", "export", ref, "--dir", layout);
    expect(again.stderr).toContain("[ERR_KILN_OUTPUT_EXISTS]");
    expect(await kiln("history", "export", ref)).toMatchObject({ code: 2, stdout: "" });
    expect(readdirSync(dir).sort()).toEqual(["build.dockerbuild", "layout", "out.tar"]);
  });

  it("says why a build failed", async () => {
    const ref = await built(`echo ${mark}-why; exit 9`);
    const { code, stdout } = await kiln("history", "inspect", ref);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}state +failed$/m);
    expect(stdout).toContain("exit code 9");
    expect(stdout).toContain(`│ ${mark}-why`);
    const data = JSON.parse((await kiln("history", "inspect", ref, "--json")).stdout) as object;
    expect(data).toMatchObject({ failure: { code: "ERR_KILN_STEP_FAILED", exitCode: 9 } });
  });

  it("attaches to a build that runs, and fails as it does", async () => {
    await using gate = await stepGate();
    const waits = gate.wait("attached");
    const solve = client.solve(run(`echo ${mark}-begin; ${waits}; echo ${mark}-end; exit 5`));
    for await (const event of solve) if (event.type === "log") break;
    const attaching = startCli(["attach", solve.ref, "--host", address]);
    const following = startCli(["history", "logs", solve.ref, "--follow", "--host", address]);
    const [running, refused] = await Promise.all([
      kiln("history", "ls", "--running"),
      kiln("history", "logs", solve.ref),
      attaching.stderrHas(`| ${mark}-begin`),
      following.stdoutHas(`| ${mark}-begin`),
    ]);
    gate.open("attached");
    const [attached, followed] = await Promise.all([attaching.done, following.done]);
    expect(running.stdout).toMatch(new RegExp(`^${solve.ref} +running`, "m"));
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("[ERR_KILN_BUILD_RUNNING]");
    expect(attached).toMatchObject({ code: 1, stdout: "" });
    expect(attached.stderr).toContain(`| ${mark}-begin`);
    expect(attached.stderr).toContain(`| ${mark}-end`);
    expect(attached.stderr).toContain("exit code 5");
    expect(followed.code).toBe(0);
    expect(followed.stdout).toContain(`| ${mark}-end`);
    await expect(solve.result).rejects.toMatchObject({ exitCode: 5 });
  });

  it("leaves a build alone when it is interrupted", async () => {
    await using gate = await stepGate();
    const solve = client.solve(run(`echo ${mark}-left; ${gate.wait("left")}`));
    for await (const event of solve) if (event.type === "log") break;
    const attached = startCli(["attach", solve.ref, "--host", address]);
    await attached.stderrHas(`| ${mark}-left`);
    attached.child.kill("SIGINT");
    const { code, stderr } = await attached.done;
    expect(code).toBe(130);
    expect(stderr).toContain(`the build goes on: kiln attach ${solve.ref}`);
    gate.open("left");
    await solve.result;
  });

  it("shows the cache and prunes what it is told, and nothing without being told", async () => {
    const cacheId = `${mark}-cache`;
    const state = registryImage(`${registry()}/library/busybox:1.36`)
      .run(["/bin/sh", "-c", `echo ${mark} > /cache/file`], {
        mounts: [{ target: `/cache`, cache: { id: cacheId } }],
      })
      .root();
    await client.solve(marshal(state)).result;
    const records = async () =>
      (
        JSON.parse((await kiln("du", "--filter", "type=exec.cachemount", "--json")).stdout) as {
          records: { id: string; description: string; createdAt: string }[];
        }
      ).records;
    const [own] = (await records())
      .filter(({ description }) => description.includes("/cache"))
      .sort((a, b) => b.createdAt.localeCompare(a.createdAt));
    const id = own?.id ?? "";
    const shown = await kiln("du", "--filter", `id=${id}`);
    expect(shown.stdout).toMatch(/^ID +TYPE +SIZE +LAST USED +STATE +DESCRIPTION\n/);
    expect(shown.stdout).toMatch(new RegExp(`^${id} +exec.cachemount +\\S+ \\w+ +\\S+ +mutable +`, "m"));
    expect(shown.stdout).toContain(" in 1 records, ");

    const unasked = await kiln("prune", "--filter", `id=${id}`);
    expect(unasked).toMatchObject({ code: 2, stdout: "" });
    expect(unasked.stderr).toContain("--force");
    const kept = await kiln("prune", "--filter", `id=${id}`, "--keep", "1h", "--force", "--json");
    expect(JSON.parse(kept.stdout)).toEqual({ records: [], size: 0 });
    expect((await records()).map((record) => record.id)).toContain(id);
    const pruned = await kiln("prune", "--filter", `id=${id}`, "--force");
    expect(pruned.code).toBe(0);
    expect(pruned.stdout).toMatch(new RegExp(`^${id}  `));
    expect(pruned.stderr).toContain("freed, 1 records removed");
    expect((await records()).map((record) => record.id)).not.toContain(id);
  });

  it("passes on each limit of a prune, and what a daemon is too old for", async () => {
    const none = ["prune", "--filter", "id=no-such-record", "--force"];
    const modern = name === "modern";
    for (const [args, code] of [
      [["--all"], 0],
      [["--reserved-space", "1GB"], 0],
      [["--max-used-space", "1TiB"], modern ? 0 : 1],
      [["--min-free-space", "1MB"], modern ? 0 : 1],
      [["--max-used-space", "0"], 2],
      [["--keep", "soon"], 2],
    ] as const) {
      const result = await kiln(...none, ...args);
      expect({ args, code: result.code }).toEqual({ args, code });
      if (code === 1) expect(result.stderr).toContain("[ERR_KILN_UNSUPPORTED]");
    }
    expect((await kiln("du", "--filter", "id=no-such-record", "--used-within", "1h")).code).toBe(
      modern ? 0 : 1,
    );
  });
});
