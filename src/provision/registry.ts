import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { withLock } from "./lock.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions, tellWait } from "./packages.js";
import { writeWhole } from "./prefix.js";
import { runningPid, startService, stopService } from "./service.js";

/** A registry that runs. */
export interface RunningRegistry {
  /** `localhost:PORT`, plain HTTP. */
  readonly host: string;
  readonly pid: number;
  readonly reused: boolean;
}

const usualPort = 5000;

/**
 * Starts a registry on this machine's loopback, from Debian's `docker-registry`. One that runs is reused.
 *
 * It listens on port 5000, or on any free one. Rejects with `ERR_KILN_ENGINE_SETUP` or
 * `ERR_KILN_ENGINE_START`.
 */
export async function registryUp(options: ProvisionOptions): Promise<RunningRegistry> {
  const home = join(options.prefix, "registry");
  return withLock(
    `registry ${home}`,
    async () => {
      const present = await registryState(home);
      if (present !== undefined) return present;
      const packages = await ensurePackages(PACKAGE_SETS.registry, options);
      const port = (await isFree(usualPort)) ? usualPort : await freePort();
      const host = `localhost:${port}`;
      options.onProgress?.({ phase: "start", message: `starting a registry at ${host}` });
      await mkdir(join(home, "data"), { recursive: true });
      const config = join(home, "config.yml");
      await writeWhole(config, registryConfig(join(home, "data"), port));
      await writeWhole(join(home, "host"), host);
      const pid = await startService(
        {
          name: "the registry",
          command: join(packages.root, "usr", "bin", "docker-registry"),
          args: ["serve", config],
          stateFile: join(home, "state.json"),
          logFile: join(home, "registry.log"),
          isHealthy: () => answers(host),
        },
        { signal: options.signal },
      );
      return { host, pid, reused: false };
    },
    { signal: options.signal, onWait: () => tellWait(options, "the registry") },
  );
}

/** Stops the registry of a prefix; its images stay on disk. Returns whether one ran. */
export function registryDown(options: { readonly prefix: string }): Promise<boolean> {
  const home = join(options.prefix, "registry");
  return withLock(`registry ${home}`, () => stopService(join(home, "state.json")));
}

/** The registry that runs under a prefix, if one does. */
export function registryStatus(options: { readonly prefix: string }): Promise<RunningRegistry | undefined> {
  return registryState(join(options.prefix, "registry"));
}

async function registryState(home: string): Promise<RunningRegistry | undefined> {
  const pid = await runningPid(join(home, "state.json"));
  const host = await readFile(join(home, "host"), "utf8").catch(() => undefined);
  return pid !== undefined && host !== undefined && (await answers(host))
    ? { host, pid, reused: true }
    : undefined;
}

function registryConfig(data: string, port: number): string {
  return `version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: ${data}}, delete: {enabled: true}}
http: {addr: "127.0.0.1:${port}"}
`;
}

async function answers(host: string): Promise<boolean> {
  const { ok } = await fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(2_000) }).catch(() => ({
    ok: false,
  }));
  return ok;
}

function isFree(port: number): Promise<boolean> {
  return listen(port).then(
    () => true,
    () => false,
  );
}

function freePort(): Promise<number> {
  return listen(0);
}

/** Listens on a loopback port for a moment and returns its number. */
function listen(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}
