import { image, merge, type RunOptions, scratch } from "../../../src/llb/index.js";
import { alpine, type Case, yes } from "./shared.js";

const busybox = image("busybox");
const maxInt64 = 2n ** 63n - 1n;

function run(options: RunOptions): Case {
  return () => alpine.run(yes, options).root();
}

function outputs() {
  return alpine.run(yes, {
    mounts: [
      { target: "/z", source: busybox },
      { target: "/a" },
      { target: "/m", source: busybox, readonly: true },
      { target: ".dot", source: busybox },
    ],
  });
}

function readonlyRoot() {
  return alpine.run(yes, {
    readonlyRootFs: true,
    mounts: [{ target: "/out" }, { target: "/a", source: busybox }],
  });
}

function late() {
  const exec = alpine.addEnv("A", "b").run(yes);
  return { exec, mount: exec.addMount("/late", busybox.dir("/d").addEnv("X", "y")) };
}

/** Mounts of every kind, and their results. */
export const mountCases: Readonly<Record<string, Case>> = {
  "exec-readonly-root": run({ readonlyRootFs: true, mounts: [{ target: "/out" }] }),
  "exec-readonly-root-mount": () => readonlyRoot().getMount("/out"),
  "exec-readonly-root-mount-a": () => readonlyRoot().getMount("/a").run(yes).root(),
  "exec-mounts-sorted": run({
    mounts: [
      { target: "/z", source: busybox },
      { target: "/a", readonly: true },
      { target: "/é", source: busybox, forceNoOutput: true },
      { target: "/\u{1F600}", source: alpine },
      { target: "/\uFFFD", source: busybox, sourcePath: "/bin" },
      { target: "rel", source: busybox },
      { target: ".dot", source: busybox },
    ],
  }),
  "exec-output-root": () => outputs().root(),
  "exec-output-z": () => outputs().getMount("/z"),
  "exec-output-a": () => outputs().getMount("/a"),
  "exec-output-m": () => outputs().getMount("/m"),
  "exec-output-dot": () => outputs().getMount(".dot"),
  "exec-outputs-combined": () => {
    const exec = outputs();
    const mounts = [
      { target: "/x", source: exec.root() },
      { target: "/y", source: exec.getMount("/a"), readonly: true },
      { target: "/w", source: exec.getMount("/z") },
    ];
    return exec.getMount("/z").run(yes, { mounts }).root();
  },
  "exec-addmount": () => late().mount.run(yes).root(),
  "exec-addmount-root": () => late().exec.root(),
  ...Object.fromEntries(
    (["shared", "private", "locked"] as const).map((sharing, index): [string, Case] => [
      `exec-cache-${index}`,
      run({ mounts: [{ target: "/c", source: busybox, cache: { id: "id", sharing }, sourcePath: "/x" }] }),
    ]),
  ),
  "exec-cache-readonly": run({ mounts: [{ target: "/c", cache: { id: "id" }, readonly: true }] }),
  "exec-tmpfs-plain": run({ mounts: [{ target: "/t", tmpfs: true }] }),
  "exec-tmpfs-big": run({ mounts: [{ target: "/t", tmpfs: { size: maxInt64 } }] }),
  "exec-contentcache": run({
    mounts: [
      { target: "/a", source: busybox, readonly: true, contentCache: "on" },
      { target: "/b", source: busybox, contentCache: "off" },
      { target: "/c", source: busybox, contentCache: "default" },
    ],
  }),
  "exec-secrets": run({
    secrets: [
      { target: "/s" },
      { env: "ENVNAME", id: "x" },
      { target: "/both", env: "BOTH", optional: true },
      { id: "id", env: "TOKEN", uid: 1, gid: 2, mode: 0o777 },
    ],
  }),
  "exec-ssh-all": run({
    ssh: [
      {},
      { id: "b", target: "/sock", optional: true },
      { target: "/third", uid: 1, gid: 2, mode: 0o640 },
    ],
  }),
  "exec-ssh-auth-sock": () =>
    alpine
      .addEnv("SSH_AUTH_SOCK", "/mine")
      .run(yes, { ssh: [{}] })
      .root(),
  "exec-cdi": run({ cdiDevices: [{ name: "vendor.com/gpu=0" }, { name: "v/c=*", optional: true }] }),
};

const shlexed = [`sh -c 'echo "hi" #x'`, `a "b c" d\\ e # comment`, `x"y"'z' "" "\\"q\\"" 'a\\b'`, "a\tb\nc"];

/** Everything else that a command can be told. */
export const execCases: Readonly<Record<string, Case>> = {
  "exec-network-none": run({ network: "none" }),
  "exec-network-sandbox": run({ network: "sandbox", security: "sandbox" }),
  "exec-hosts": run({
    extraHosts: [
      { host: "a", ip: "1.2.3.4" },
      { host: "b", ip: "FD00:0:0:0:0:0:0:1" },
      { host: "c", ip: "::ffff:10.0.0.1" },
      { host: "a", ip: "1:0:0:2:0:0:0:3" },
      { host: "d", ip: "::" },
      { host: "e", ip: "1:0:2:0:3:0:4:0" },
    ],
  }),
  "exec-ulimits": run({
    ulimits: [
      { name: "nofile", soft: 1024, hard: 2048 },
      { name: "cpu", soft: -1, hard: maxInt64 },
      { name: "core", soft: 0, hard: 0n },
    ],
  }),
  "exec-ulimit-beyond-double": run({ ulimits: [{ name: "cpu", soft: -(2n ** 63n), hard: maxInt64 - 1n }] }),
  "exec-exit-codes": run({ validExitCodes: [0, 1, 127, -1, 300] }),
  "exec-exit-codes-none": run({ validExitCodes: [] }),
  "exec-cgroup-hostname": run({ cgroupParent: "/cg", hostname: "host" }),
  "exec-proxy-all": run({
    proxyEnv: { httpProxy: "a", httpsProxy: "b", ftpProxy: "c", noProxy: "d", allProxy: "e" },
  }),
  "exec-proxy-empty": run({ proxyEnv: {} }),
  "exec-run-options": run({
    dir: "sub",
    env: { A: "1" },
    user: "u",
    with: (state) => state.addEnv("B", "2").dir("../x"),
  }),
  "exec-run-options-do-not-last": () =>
    alpine
      .run(yes, { dir: "/r", env: { A: "1" }, user: "u" })
      .root()
      .run(yes)
      .root(),
  "exec-state-all": () =>
    alpine
      .hostname("h")
      .network("host")
      .security("insecure")
      .addExtraHost("a", "1.1.1.1")
      .ulimit("rss", { soft: 1, hard: 2 })
      .cgroupParent("p")
      .user("1:2")
      .dir("a/b")
      .dir("../c")
      .run(yes)
      .root()
      .run(yes, { extraHosts: [{ host: "b", ip: "2.2.2.2" }] })
      .root(),
  "exec-dir-kept": () => alpine.dir("/a//b/../c/").run(yes).root(),
  "exec-dir-empty": () => alpine.dir("/a").dir("").run(yes).root(),
  "exec-dir-up": () => alpine.dir("../../x").run(yes).root(),
  "exec-env-order": () =>
    alpine
      .addEnv("A", "1")
      .addEnv("B", "2")
      .addEnv("A", "3")
      .addEnv("C", "")
      .addEnv("10", "x")
      .addEnv("9", "y")
      .addEnv("__proto__", "p")
      .run(yes)
      .root(),
  "exec-empty-args": () => alpine.run(["", "a", ""]).root(),
  "exec-scratch": () => scratch().run(yes).root(),
  ...Object.fromEntries(
    shlexed.map((text, index): [string, Case] => [`exec-shlex-${index}`, () => alpine.run(text).root()]),
  ),
  "exec-meta": run({
    description: { b: "2", a: "1", "10": "x", "9": "y" },
    customName: "n",
    exportCache: true,
    progressGroup: { id: "id", name: "name", weak: true },
    ignoreCache: true,
  }),
  "exec-no-export-cache": run({ exportCache: false, progressGroup: { id: "id", name: "" } }),
  "exec-resources": run({
    linuxResources: {
      memory: 2 ** 40,
      memorySwap: -1,
      cpuShares: 2n ** 64n - 1n,
      cpuPeriod: 100000,
      cpuQuota: -1,
      cpusetCpus: "0-3",
      cpusetMems: "0",
    },
  }),
  "exec-require": run({ require: ["a", "b", "c"] }),
  "marshal-meta": () => [
    alpine.run(yes).root(),
    { ignoreCache: true, exportCache: true, progressGroup: { id: "g", name: "n" }, require: ["x"] },
  ],
  "caps-default-path": () => [
    alpine.run(yes).root(),
    { supportedCaps: new Set(["exec.meta.setsdefaultpath"]) },
  ],
  "caps-no-default-path": () => [alpine.run(yes).root(), { supportedCaps: new Set(["exec.meta.base"]) }],
  "caps-no-default-path-own": () => [
    alpine.addEnv("PATH", "/x").run(yes).root(),
    { supportedCaps: new Set(["exec.meta.base"]) },
  ],
  "caps-no-default-path-windows": () => [
    alpine.run(yes).root(),
    { supportedCaps: new Set(["exec.meta.base"]), platform: "windows/amd64" },
  ],
  "same-op-twice": () => {
    const same = alpine.run(yes, { customName: "one" }).root();
    return merge([same, alpine.run(yes, { customName: "two", ignoreCache: true }).root()]);
  },
};
