import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import { type Address, dockerAddress } from "./address.js";
import type { TlsOptions } from "./tls-options.js";

/** Where Docker's CLI would connect, and with which certificates. */
export interface DockerContext {
  /** `default` or the context's name. */
  readonly name: string;
  readonly address: Address;
  readonly tls: TlsOptions | undefined;
}

/** Environment and home directory to look in. */
export interface DockerContextOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/**
 * The Docker endpoint that the environment selects: `DOCKER_HOST`, else `DOCKER_CONTEXT`, else the current
 * context of Docker's config; `undefined` when that is the default one.
 *
 * The store's layout is the Docker CLI's (`cli/context/store`): one directory a context, named by the sha256
 * of its name. Throws `ERR_KILN_DOCKER_CONTEXT` for a context that is named but cannot be read.
 */
export async function currentDockerContext(
  options: DockerContextOptions,
): Promise<DockerContext | undefined> {
  const { env, home } = options;
  const configDir = env["DOCKER_CONFIG"] ?? join(home, ".docker");
  const host = env["DOCKER_HOST"];
  if (host !== undefined && host !== "") {
    const verify = env["DOCKER_TLS_VERIFY"];
    const certDir =
      env["DOCKER_CERT_PATH"] ?? (verify !== undefined && verify !== "" ? configDir : undefined);
    return {
      name: "default",
      address: dockerAddress(host),
      tls: certDir === undefined ? undefined : tlsFiles(certDir),
    };
  }
  const name = env["DOCKER_CONTEXT"] || (await configuredContext(configDir));
  if (name === undefined || name === "" || name === "default") return undefined;
  return readContext(configDir, name);
}

/** Reads one context of Docker's store by name. Throws `ERR_KILN_DOCKER_CONTEXT`. */
export async function readContext(configDir: string, name: string): Promise<DockerContext> {
  const id = createHash("sha256").update(name).digest("hex");
  const file = join(configDir, "contexts", "meta", id, "meta.json");
  let endpoint: { readonly Host?: unknown; readonly SkipTLSVerify?: unknown } | undefined;
  try {
    const meta = JSON.parse(await readFile(file, "utf8")) as { Endpoints?: { docker?: typeof endpoint } };
    endpoint = meta.Endpoints?.docker;
  } catch (error) {
    throw new KilnError("ERR_KILN_DOCKER_CONTEXT", `cannot read the Docker context "${name}" (${file})`, {
      cause: error,
      hint: "See `docker context ls`, or unset DOCKER_CONTEXT.",
    });
  }
  if (typeof endpoint?.Host !== "string" || endpoint.Host === "") {
    throw new KilnError("ERR_KILN_DOCKER_CONTEXT", `the Docker context "${name}" names no host (${file})`, {
      hint: "See `docker context inspect`, or pass the address with --host or KILN_HOST.",
    });
  }
  const certDir = join(configDir, "contexts", "tls", id, "docker");
  const hasTls = await readFile(join(certDir, "ca.pem")).then(
    () => true,
    () => false,
  );
  const tls = hasTls ? { ...tlsFiles(certDir), skipVerify: endpoint.SkipTLSVerify === true } : undefined;
  return { name, address: dockerAddress(endpoint.Host), tls };
}

async function configuredContext(configDir: string): Promise<string | undefined> {
  try {
    const config = JSON.parse(await readFile(join(configDir, "config.json"), "utf8")) as {
      currentContext?: unknown;
    };
    return typeof config.currentContext === "string" ? config.currentContext : undefined;
  } catch {
    // No config, or one that is none of our business: Docker itself then uses the default context.
    return undefined;
  }
}

function tlsFiles(dir: string): TlsOptions {
  return { caFile: join(dir, "ca.pem"), certFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem") };
}
