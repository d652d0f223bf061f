import { isIP } from "node:net";

/** A way to speak to a registry. */
export interface RegistryEndpoint {
  /** Such as `https://ghcr.io` or `http://localhost:5000`. */
  readonly origin: string;
  /** Whether the server's certificate has to be one that is trusted. */
  readonly checked: boolean;
}

/** The host that serves the images of a reference's domain: Docker Hub's is another one than its name. */
export function registryHost(domain: string): string {
  return domain === "docker.io" ? "registry-1.docker.io" : domain;
}

/**
 * How a registry may be spoken to, in the order in which it is tried; the rule is that of BuildKit and Docker.
 *
 * Registries on this machine (`localhost`, 127.0.0.0/8, `[::1]`) speak plain HTTP, or HTTPS with any certificate; those
 * that are `insecure` the same, HTTPS first; all others HTTPS with a certificate that is trusted.
 */
export function registryEndpoints(domain: string, insecure: boolean): readonly RegistryEndpoint[] {
  const host = registryHost(domain);
  const plain = { origin: `http://${host}`, checked: false };
  const unchecked = { origin: `https://${host}`, checked: false };
  if (isLoopback(host)) return [plain, unchecked];
  return insecure ? [unchecked, plain] : [{ origin: `https://${host}`, checked: true }];
}

function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, "");
  if (name === "localhost" || name === "[::1]") return true;
  return isIP(name) === 4 && name.startsWith("127.");
}
