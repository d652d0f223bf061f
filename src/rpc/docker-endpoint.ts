import { KilnError } from "../errors.js";
import { formatAddress, parseAddress } from "./address.js";
import type { DockerEndpoint } from "./docker-http.js";
import type { TlsOptions } from "./tls-options.js";

/** A {@link DockerEndpoint} that is to be closed. */
export interface OpenDockerEndpoint extends DockerEndpoint {
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Prepares to ask a Docker Engine over its HTTP API, without a channel to its BuildKit. Nothing is sent yet.
 *
 * Rejects with `ERR_KILN_INVALID_ADDRESS`, `ERR_KILN_UNSUPPORTED` for an address that is no Docker's, and `ERR_KILN_TLS`.
 */
export async function openDockerEndpoint(text: string, tls?: TlsOptions): Promise<OpenDockerEndpoint> {
  const address = parseAddress(text);
  if (address.scheme !== "docker" && address.scheme !== "docker+ssh") {
    throw new KilnError("ERR_KILN_UNSUPPORTED", `${formatAddress(address)} is no Docker Engine`, {
      hint: "Docker's are docker:// and docker+ssh://.",
    });
  }
  const { loadTls } = await import("./tls-options.js");
  const material = tls === undefined ? undefined : await loadTls(tls);
  if (address.scheme === "docker") {
    const socketPath = "path" in address ? address.path : undefined;
    return { address, tls: material, socketPath, close: async () => {} };
  }
  const [{ openCommandRelay }, { dialCommand }] = await Promise.all([
    import("./command-relay.js"),
    import("./dial-command.js"),
  ]);
  const relay = await openCommandRelay(dialCommand(address));
  return { address, tls: material, socketPath: relay.path, close: () => relay.close() };
}
