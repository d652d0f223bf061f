import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { copy, marshal, mkfile, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import { Client, localDir } from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-commands-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];

// Named after the tests of BuildKit's own client that they re-create.
describeEachEngine("commands, as BuildKit's own client tests them", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const id = `${name}-${Date.now()}`;

  /** Solves a state and gives what is in its file `/out`. */
  async function out(state: State, options: Parameters<Client["solve"]>[1] = {}): Promise<string> {
    const target = mkdtempSync(join(dir, "out-"));
    const result = scratch().file(copy(state, { src: "/out", dest: "/out" }));
    await client.solve(marshal(result), { ...options, outputs: [localDir(target)] }).result;
    return readFileSync(join(target, "out"), "utf8");
  }

  it("RunValidExitCodes: takes the codes that are listed and no others", async ({ skip }) => {
    const codes = (script: string, ...valid: number[]) =>
      client.solve(
        marshal(
          busybox()
            .run(shell(`${script} # ${id}`), { validExitCodes: valid })
            .root(),
        ),
      ).result;
    const plain = busybox().run(shell(`exit 2 # ${id}`));
    await expect(client.solve(marshal(plain.root())).result).rejects.toMatchObject({ exitCode: 2 });
    const { llbCaps } = await client.facts();
    if (!llbCaps.has("exec.validexitcode")) {
      const refusal = await codes("exit 1", 1).catch((error: Error & { code: string }) => error);
      expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      skip(`${name}: ${(refusal as Error).message}`);
    }
    await codes("exit 1", 1);
    await codes("exit 0", 0, 1);
    await codes("exit 255", 255);
    await expect(codes("exit 0", 1)).rejects.toThrow(/exit code: 0/);
    await expect(codes("exit 3", 1, 2)).rejects.toMatchObject({ exitCode: 3 });
  });

  it("User: by name, name and group, and number, with supplementary groups", async () => {
    const base = busybox()
      .run(
        shell(
          "mkdir -p /m && chmod 777 /m; printf 'root:x:0:0:root:/root:/bin/sh\\nme:x:1001:1002::/:/bin/sh\\n' > /etc/passwd; " +
            "printf 'root:x:0:\\nmine:x:1002:\\nextra:x:1003:me\\n' > /etc/group",
        ),
      )
      .root();
    for (const [user, expected] of [
      ["root", "0:0"],
      ["me", "1001:1002"],
      ["me:extra", "1001:1003"],
      ["1001", "1001:1002"],
      ["5000", "5000:0"],
      ["5000:6000", "5000:6000"],
      ["0", "0:0"],
    ] as const) {
      const state = base.run(shell('echo "$(id -u):$(id -g)" > /m/who'), { user }).root();
      const result = scratch().file(copy(state, { src: "/m/who", dest: "/out" }));
      expect(await out(result), user).toBe(`${expected}\n`);
    }
    const groups = base.run(shell("id -G > /m/who"), { user: "me" }).root();
    expect(await out(scratch().file(copy(groups, { src: "/m/who", dest: "/out" })))).toBe("1002 1003\n");
    const nobody = base.run(shell("true"), { user: "nosuch" }).root();
    await expect(out(nobody)).rejects.toThrow(/nosuch|user/);
  });

  it("RelativeWorkDir: starts at the directory before it", async () => {
    const state = busybox().dir("/test1").dir("test2").run(shell("pwd > /out"));
    expect(await out(state.root())).toBe("/test1/test2\n");
  });

  it("Ulimit: holds for one command alone", async () => {
    const limited = busybox().ulimit("nofile", { soft: 1062, hard: 1062 }).run(shell("ulimit -n > /first"));
    const result = busybox()
      .run(shell("ulimit -n > /second; cat /in/first /second > /out"), {
        mounts: [{ target: "/in", source: limited.root(), readonly: true }],
      })
      .root();
    const [first, second] = (await out(result)).trim().split("\n");
    expect(first).toBe("1062");
    expect(second).not.toBe("1062");
  });

  it("SecurityModeErrors: insecure commands need an entitlement", async () => {
    const state = busybox()
      .security("insecure")
      .run(shell(`grep CapEff /proc/self/status > /out # ${id}`))
      .root();
    await expect(out(state)).rejects.toMatchObject({ code: "ERR_KILN_ENTITLEMENT" });
    const sandboxed = await out(busybox().run(shell("grep CapEff /proc/self/status > /out")).root());
    expect(await out(state, { entitlements: ["security.insecure"] })).not.toBe(sandboxed);
    expect(() => busybox().security("unsafe" as "insecure")).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }),
    );
  });

  it("SecretMounts: with ids, owners and modes, optional or not, and nothing left behind", async () => {
    const run = (script: string, secret: object) =>
      busybox()
        .run(shell(`${script} # ${id}`), { secrets: [{ target: "/run/secrets/s", ...secret }] })
        .root();
    await expect(out(run("cp /run/secrets/s /out", {}))).rejects.toMatchObject({
      message: expect.stringContaining("/run/secrets/s"),
    });
    expect(await out(run("test ! -e /run/secrets/s; echo none > /out", { optional: true }))).toBe("none\n");
    const secrets = { "/run/secrets/s": "by target", other: "by id" };
    expect(await out(run("cat /run/secrets/s > /out", {}), { secrets })).toBe("by target");
    expect(await out(run("cat /run/secrets/s > /out", { id: "other" }), { secrets })).toBe("by id");
    const stat = "stat -c '%u %g %a' /run/secrets/s > /out";
    expect(await out(run(stat, { id: "other" }), { secrets })).toBe("0 0 400\n");
    expect(await out(run(stat, { id: "other", uid: 7, gid: 8, mode: 0o444 }), { secrets })).toBe("7 8 444\n");
    const target = mkdtempSync(join(dir, "left-"));
    const state = run("true", { id: "other" });
    await client.solve(marshal(state), { secrets, outputs: [localDir(target)] }).result;
    expect(existsSync(join(target, "run/secrets/s"))).toBe(false);
    await expect(
      out(run("cat /run/secrets/s > /out", { id: "big" }), { secrets: { big: Buffer.alloc(512_001) } }),
    ).rejects.toMatchObject({ code: "ERR_KILN_SECRET_TOO_LARGE" });
  });

  it("SecretEnv: as variables, renamed, optional, missing", async () => {
    const run = (script: string, ...secrets: { id?: string; env: string; optional?: boolean }[]) =>
      busybox()
        .run(shell(`${script} > /out # ${id}`), { secrets })
        .root();
    const secrets = { A: "one", b: "two" };
    expect(await out(run('printf "$A $B"', { env: "A" }, { env: "B", id: "b" }), { secrets })).toBe(
      "one two",
    );
    expect(await out(run('printf "[$NONE]"', { env: "NONE", optional: true }), { secrets })).toBe("[]");
    await expect(out(run("true", { env: "NONE" }), { secrets })).rejects.toThrow(/NONE/);
  });

  it("CachedMounts: outlive builds, start from what they are given, and are shared", async () => {
    const cacheId = `peer-${id}`;
    const run = (script: string, source = scratch()) =>
      busybox()
        .run(shell(script), {
          mounts: [{ target: "/c", source, cache: { id: cacheId } }],
          ignoreCache: false,
        })
        .root();
    expect(await out(run(`echo a >> /c/f; cp /c/f /out # 1 ${id}`))).toBe("a\n");
    expect(await out(run(`echo b >> /c/f; cp /c/f /out # 2 ${id}`))).toBe("a\nb\n");
    const seeded = scratch().file(mkfile("/seed", "seed"));
    expect(await out(run(`cat /c/seed > /out; test ! -e /c/f # ${id}`, seeded))).toBe("seed");
  });

  it("CacheMountNoCache: a command that ignores the cache empties its own cache mounts alone", async () => {
    const run = (script: string, ignoreCache: boolean) =>
      busybox()
        .run(shell(`${script} # ${id}`), {
          ignoreCache,
          mounts: [
            { target: "/one", source: scratch(), cache: { id: `one-${id}` } },
            ...(ignoreCache ? [] : [{ target: "/two", source: scratch(), cache: { id: `two-${id}` } }]),
          ],
        })
        .root();
    await out(run("touch /one/x /two/y; touch /out", false));
    expect(await out(run("ls /one > /out", true))).toBe("");
    expect(await out(run("ls /one /two > /out", false))).toBe("/one:\n\n/two:\ny\n");
  });

  it("TmpfsMounts: are memory, and no part of the result", async () => {
    const target = mkdtempSync(join(dir, "tmpfs-"));
    const state = busybox()
      .run(shell(`grep ' /t ' /proc/mounts > /out; echo x > /t/x # ${id}`), {
        mounts: [{ target: "/t", source: scratch(), tmpfs: { size: 1024 * 1024 } }],
      })
      .root();
    await client.solve(marshal(state), { outputs: [localDir(target)] }).result;
    expect(readFileSync(join(target, "out"), "utf8")).toMatch(/^tmpfs \/t tmpfs .*size=1024k/);
    expect(existsSync(join(target, "t"))).toBe(false);
  });

  it("NetworkMode: none has no network, host needs an entitlement", async () => {
    const run = (mode: "none" | "host") =>
      busybox()
        .network(mode)
        .run(shell(`tail -n +3 /proc/net/dev | cut -d: -f1 > /out # ${id}`))
        .root();
    expect((await out(run("none"))).trim()).toBe("lo");
    await expect(out(run("host"))).rejects.toThrow(/network\.host is not allowed/);
    await expect(out(run("host"))).rejects.toMatchObject({ code: "ERR_KILN_ENTITLEMENT" });
    expect((await out(run("host"), { entitlements: ["network.host"] })).split("\n").length).toBeGreaterThan(
      2,
    );
  });

  it("ExtraHosts: are in /etc/hosts", async () => {
    const state = busybox()
      .addExtraHost("some.host", "1.2.3.4")
      .run(shell("grep 'some.host' /etc/hosts > /out"));
    expect(await out(state.root())).toMatch(/1\.2\.3\.4\s+some\.host/);
  });

  it("ProxyEnv: sets both spellings, and another value keeps the cache", async () => {
    const run = (proxy: string) =>
      busybox()
        .run(
          shell(
            `echo "$HTTP_PROXY $http_proxy $NO_PROXY $ALL_PROXY" > /out; head -c 16 /dev/urandom | od -An -tx1 >> /out # ${id}`,
          ),
          {
            proxyEnv: { httpProxy: proxy, noProxy: "no", allProxy: "all" },
          },
        )
        .root();
    const first = await out(run("http://one.example.com"));
    expect(first).toMatch(/^http:\/\/one\.example\.com http:\/\/one\.example\.com no all\n/);
    expect(await out(run("http://two.example.com"))).toBe(first);
  });

  it("CDI: gives a device to commands that ask for it, and to nobody else", async ({ skip }) => {
    const device = { name: "vendor.example/gpu=0" };
    const ask = (devices: { name: string; optional?: boolean }[]) =>
      busybox()
        .run(
          shell(
            `printf "$KILN_TEST_DEVICE" > /out; test ! -e /dev/kiln-gpu0 || printf " there" >> /out # ${id}`,
          ),
          {
            cdiDevices: devices,
          },
        )
        .root();
    const { llbCaps } = await client.facts();
    if (!llbCaps.has("exec.meta.cdi")) {
      const refusal = await out(ask([device])).catch((error: Error & { code: string }) => error);
      expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      skip(`${name}: ${(refusal as Error).message}`);
    }
    expect(await out(ask([device]))).toBe("0 there");
    expect(await out(ask([{ name: "vendor.example/none=1", optional: true }]))).toBe("");
    await expect(out(ask([{ name: "vendor.example/none=1" }]))).rejects.toThrow(/not registered/);
    expect(await out(ask([]))).toBe("");
  });

  it("CallInfo: tells the daemon, its workers and what they can do", async () => {
    const facts = await client.facts();
    expect(facts).toMatchObject({ kind: "docker", store: "containerd", buildkitVersion: expect.any(String) });
    expect(facts.workers[0]?.platforms).toContainEqual({ os: "linux", architecture: "amd64" });
    expect(facts.llbCaps.has("exec.meta.base")).toBe(true);
    expect(facts.dockerVersion).toMatch(/^\d+\.\d+/);
  });

  it("ExportBusyboxLocal: gives a base's files with their modes", async () => {
    const target = mkdtempSync(join(dir, "base-"));
    await client.solve(marshal(busybox()), { outputs: [localDir(target)] }).result;
    expect(statSync(join(target, "bin/busybox")).mode & 0o777).toBe(0o755);
  });
});
