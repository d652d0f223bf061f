import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { findDebian, requireLinux, requireRoot } from "./debian.js";
import { askVersion } from "./docker-api.js";
import { type EngineFiles, type EngineKind, engineFiles, engineKinds } from "./engine-files.js";
import { withLock } from "./lock.js";
import { thisMachine } from "./machine.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions, tellWait, type UnpackedPackages } from "./packages.js";
import { checkPrefix, writeWhole } from "./prefix.js";
import { runCommand } from "./run-command.js";
import { runningPid, startService, stopService } from "./service.js";
import { writeProgramWrappers } from "./wrappers.js";

/** Options of {@link engineUp}. */
export interface EngineUpOptions extends ProvisionOptions {
  /** Default `modern`. */
  readonly kind?: EngineKind | undefined;
  /** `host:port` of a registry that stands in for Docker Hub (plain HTTP). Default none. */
  readonly mirror?: string | undefined;
  /** Further keys of Docker's `daemon.json`; they win over Kiln's own. Read when the engine starts, not when one is reused. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  /** Further variables of the daemon's environment, e.g. `SSL_CERT_FILE`. Read as `settings` are. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** A private engine that runs. */
export interface RunningEngine {
  readonly kind: EngineKind;
  /** For `Engine.connect` and `--host`. */
  readonly address: string;
  readonly socket: string;
  readonly pid: number;
  /** It ran already. */
  readonly reused: boolean;
  readonly dockerVersion: string;
  readonly goVersion: string;
}

/**
 * Sets up and starts a private BuildKit: Debian's Docker, unpacked and run under the prefix, nothing installed.
 *
 * An engine that runs is reused. The daemon outlives this process; {@link engineDown} stops it. Rejects with
 * `ERR_KILN_ENGINE_SETUP` when this machine cannot have one, with what to do instead, and
 * `ERR_KILN_ENGINE_START` when the daemon does not come up.
 */
export async function engineUp(options: EngineUpOptions): Promise<RunningEngine> {
  const kind = options.kind ?? "modern";
  checkPrefix(options.prefix);
  const files = engineFiles(options.prefix, kind);
  const present = await engineState(files, kind);
  if (present !== undefined) return present;
  const machine = options.machine ?? thisMachine();
  requireLinux(machine);
  requireRoot(machine);
  await findDebian(machine);
  return withLock(
    `engine ${files.home}`,
    async () => {
      const meanwhile = await engineState(files, kind);
      if (meanwhile !== undefined) return meanwhile;
      const binaries = await ensurePackages(
        kind === "older" ? PACKAGE_SETS.older : PACKAGE_SETS.modern,
        options,
      );
      const support = await ensurePackages(PACKAGE_SETS.machine, options);
      await start(files, kind, { binaries, support, options });
      const running = await engineState(files, kind);
      if (running === undefined) throw new Error(`the engine at ${files.socket} answered and then went away`);
      return { ...running, reused: false };
    },
    { signal: options.signal, onWait: () => tellWait(options, `the ${kind} engine`) },
  );
}

/** The private engines that run under a prefix. */
export async function engineStatus(options: { readonly prefix: string }): Promise<readonly RunningEngine[]> {
  const states = await Promise.all(
    engineKinds.map((kind) => engineState(engineFiles(options.prefix, kind), kind)),
  );
  return states.filter((state) => state !== undefined);
}

/**
 * Stops a private engine. Its images and cache stay on disk unless `purge` is true.
 *
 * Returns whether one ran. Only a daemon that {@link engineUp} started is stopped.
 */
export async function engineDown(options: {
  readonly prefix: string;
  readonly kind?: EngineKind | undefined;
  readonly purge?: boolean | undefined;
}): Promise<boolean> {
  const files = engineFiles(options.prefix, options.kind ?? "modern");
  return withLock(`engine ${files.home}`, async () => {
    const stopped = await stopService(files.state);
    await unmountBelow(files.home);
    await rm(files.socket, { force: true });
    await rm(files.exec, { recursive: true, force: true });
    if (options.purge === true) await rm(files.home, { recursive: true, force: true });
    return stopped;
  });
}

async function engineState(files: EngineFiles, kind: EngineKind): Promise<RunningEngine | undefined> {
  const pid = await runningPid(files.state);
  if (pid === undefined) return undefined;
  const version = await askVersion(files.socket);
  if (version === undefined) return undefined;
  return {
    kind,
    address: `docker://${files.socket}`,
    socket: files.socket,
    pid,
    reused: true,
    dockerVersion: version.Version,
    goVersion: version.GoVersion,
  };
}

interface StartContext {
  readonly binaries: UnpackedPackages;
  readonly support: UnpackedPackages;
  readonly options: EngineUpOptions;
}

async function start(files: EngineFiles, kind: EngineKind, context: StartContext): Promise<void> {
  const { binaries, support, options } = context;
  const version = binaries.versions["docker.io"] ?? "";
  options.onProgress?.({ phase: "start", message: `starting Docker ${version} (Debian ${binaries.suite})` });
  // A daemon that was killed leaves its containerd and its mounts behind.
  await unmountBelow(files.home);
  await rm(files.pid, { force: true });
  await rm(files.exec, { recursive: true, force: true });
  await mkdir(files.cdi, { recursive: true });
  const wrappers = await writeProgramWrappers(join(options.prefix, "wrappers"), support.root);
  await writeWhole(join(files.cdi, "kiln-test.json"), JSON.stringify(harmlessDevice, undefined, 2));
  await writeWhole(files.config, JSON.stringify(daemonConfig(files, kind, options), undefined, 2));
  const path = [
    wrappers,
    ...["usr/bin", "usr/sbin"].map((folder) => join(binaries.root, folder)),
    ...["usr/bin", "usr/sbin", "bin", "sbin"].map((folder) => join(support.root, folder)),
    process.env["PATH"] ?? "",
    "/usr/sbin:/usr/bin:/sbin:/bin",
  ].join(":");
  await startService(
    {
      name: `Docker ${version}`,
      command: join(binaries.root, "usr", "sbin", "dockerd"),
      args: ["--config-file", files.config],
      env: { ...process.env, ...options.env, PATH: path, DOCKER_HOST: undefined },
      stateFile: files.state,
      logFile: files.log,
      isHealthy: async () => (await askVersion(files.socket)) !== undefined,
    },
    { signal: options.signal },
  );
}

/** A CDI device that is nothing but an environment variable and `/dev/zero`: device steps work without a GPU. */
const harmlessDevice = {
  cdiVersion: "0.6.0",
  kind: "vendor.example/gpu",
  annotations: { "org.mobyproject.buildkit.device.autoallow": "true" },
  devices: [
    {
      name: "0",
      containerEdits: {
        env: ["KILN_TEST_DEVICE=0"],
        deviceNodes: [{ path: "/dev/kiln-gpu0", hostPath: "/dev/zero" }],
      },
    },
  ],
};

function daemonConfig(files: EngineFiles, kind: EngineKind, options: EngineUpOptions): object {
  return {
    features: { "containerd-snapshotter": kind !== "classic", ...(kind === "older" ? {} : { cdi: true }) },
    ...(kind === "older" ? {} : { "cdi-spec-dirs": [files.cdi] }),
    "data-root": files.data,
    "exec-root": files.exec,
    pidfile: files.pid,
    hosts: [`unix://${files.socket}`],
    "insecure-registries": [
      "127.0.0.0/8",
      "localhost:5000",
      ...(options.mirror === undefined ? [] : [options.mirror]),
    ],
    ...(options.mirror === undefined ? {} : { "registry-mirrors": [`http://${options.mirror}`] }),
    builder: { entitlements: { "network-host": true, "security-insecure": true } },
    ...options.settings,
  };
}

/** Unmounts what a daemon left mounted below a folder, deepest first. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = await readFile("/proc/self/mounts", "utf8").catch(() => "");
  const below = mounts
    .split("\n")
    .map((line) => (line.split(" ")[1] ?? "").replaceAll("\\040", " "))
    .filter((path) => path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
  for (const path of below) await runCommand("umount", ["-l", path]);
}
