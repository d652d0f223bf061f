import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { withLock } from "./lock.js";
import { PACKAGE_SETS } from "./package-sets.js";
import { ensurePackages, type ProvisionOptions, tellWait } from "./packages.js";
import { writeWhole } from "./prefix.js";
import { runningPid, startService, stopService } from "./service.js";

/** Options of {@link registryUp}. They are read when the registry starts, not when one is reused. */
export interface RegistryUpOptions extends ProvisionOptions {
  /** The IP address of this machine to listen on, at any free port. Default loopback, port 5000 if that is free. */
  readonly listenOn?: string | undefined;
  /** PEM files of a server certificate with its key, and of the authority that signed it. Default plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
  /** Whom it lets in. Default everybody. */
  readonly auth?: RegistryAuth | undefined;
}

/** Whom a registry lets in: the names of an htpasswd file (bcrypt alone), or the tokens of a token server. */
export type RegistryAuth =
  | { readonly kind: "htpasswd"; readonly file: string }
  | {
      readonly kind: "token";
      /** URL of the token server. */
      readonly realm: string;
      readonly service: string;
      readonly issuer: string;
      /** PEM file of the certificates whose keys sign tokens. */
      readonly certificates: string;
    };

/** A registry that runs. */
export interface RunningRegistry {
  /** `localhost:PORT`, or that of the address it listens on. */
  readonly host: string;
  readonly pid: number;
  readonly reused: boolean;
}

const usualPort = 5000;

/**
 * Starts a registry on this machine, from Debian's `docker-registry`. One that runs is reused.
 *
 * A prefix has one registry. Rejects with `ERR_KILN_ENGINE_SETUP` or `ERR_KILN_ENGINE_START`.
 */
export async function registryUp(options: RegistryUpOptions): Promise<RunningRegistry> {
  const home = join(options.prefix, "registry");
  return withLock(
    `registry ${home}`,
    async () => {
      const present = await registryState(home);
      if (present !== undefined) return present;
      const packages = await ensurePackages(PACKAGE_SETS.registry, options);
      const { listenOn, tls } = options;
      const port = listenOn === undefined && (await isFree(usualPort)) ? usualPort : await freePort(listenOn);
      const host = `${listenOn ?? "localhost"}:${port}`;
      options.onProgress?.({ phase: "start", message: `starting a registry at ${host}` });
      await mkdir(join(home, "data"), { recursive: true });
      const config = join(home, "config.yml");
      const address = `${listenOn ?? "127.0.0.1"}:${port}`;
      await writeWhole(config, registryConfig(join(home, "data"), address, options), 0o600);
      const ca = tls === undefined ? undefined : await readFile(tls.ca, "utf8");
      await writeWhole(join(home, "host"), host);
      await writeWhole(join(home, "ca.pem"), ca ?? "");
      const pid = await startService(
        {
          name: "the registry",
          command: join(packages.root, "usr", "bin", "docker-registry"),
          args: ["serve", config],
          stateFile: join(home, "state.json"),
          logFile: join(home, "registry.log"),
          isHealthy: () => answers({ host, ca }),
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

/** Where a registry is asked, and whom to trust there: PEM text, `undefined` for plain HTTP. */
interface Whereabouts {
  readonly host: string;
  readonly ca?: string | undefined;
}

async function registryState(home: string): Promise<RunningRegistry | undefined> {
  const pid = await runningPid(join(home, "state.json"));
  const host = await readFile(join(home, "host"), "utf8").catch(() => undefined);
  if (pid === undefined || host === undefined) return undefined;
  const ca = (await readFile(join(home, "ca.pem"), "utf8").catch(() => "")) || undefined;
  return (await answers({ host, ca })) ? { host, pid, reused: true } : undefined;
}

function registryConfig(data: string, address: string, options: RegistryUpOptions): string {
  const { tls, auth } = options;
  // JSON is YAML.
  return JSON.stringify(
    {
      version: "0.1",
      log: { level: "warn" },
      storage: { filesystem: { rootdirectory: data }, delete: { enabled: true } },
      http: {
        addr: address,
        // Without one it makes one up at each start, with a warning.
        secret: randomBytes(32).toString("hex"),
        ...(tls === undefined ? {} : { tls: { certificate: tls.cert, key: tls.key } }),
      },
      ...(auth === undefined ? {} : { auth: authConfig(auth) }),
    },
    undefined,
    2,
  );
}

function authConfig(auth: RegistryAuth): object {
  if (auth.kind === "htpasswd") return { htpasswd: { realm: "registry", path: auth.file } };
  const { realm, service, issuer, certificates } = auth;
  return { token: { realm, service, issuer, rootcertbundle: certificates } };
}

/** Whether a registry answers, be it that one has to log in. */
function answers({ host, ca }: Whereabouts): Promise<boolean> {
  return new Promise((resolve) => {
    const url = `${ca === undefined ? "http" : "https"}://${host}/v2/`;
    const signal = AbortSignal.timeout(2_000);
    const call = ca === undefined ? requestHttp(url, { signal }) : requestHttps(url, { signal, ca });
    call.once("error", () => resolve(false));
    call.once("response", (response) => {
      response.resume();
      resolve(response.statusCode === 200 || response.statusCode === 401);
    });
    call.end();
  });
}

function isFree(port: number): Promise<boolean> {
  return listen(port).then(
    () => true,
    () => false,
  );
}

function freePort(address?: string): Promise<number> {
  return listen(0, address);
}

/** Listens on a port for a moment and returns its number. */
function listen(port: number, address = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, address, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : port));
    });
  });
}
