import { KilnError } from "../errors.js";

/** A BuildKit or Docker daemon on a unix socket or TCP, as {@link parseAddress} reads it. */
export type Address = UnixAddress | TcpAddress | DockerSocketAddress | DockerTcpAddress;

/** buildkitd on a unix socket. */
export interface UnixAddress {
  readonly scheme: "unix";
  readonly path: string;
}

/** buildkitd on TCP; TLS when the connection is given certificates. */
export interface TcpAddress {
  readonly scheme: "tcp";
  readonly host: string;
  readonly port: number;
}

/** A Docker Engine whose BuildKit is reached by upgrading a connection to its API socket. */
export interface DockerSocketAddress {
  readonly scheme: "docker";
  readonly transport: "unix";
  readonly path: string;
}

/** A Docker Engine's API on TCP; TLS when the connection is given certificates. */
export interface DockerTcpAddress {
  readonly scheme: "docker";
  readonly transport: "tcp";
  readonly host: string;
  readonly port: number;
}

/** Where Docker Engine listens when nobody says otherwise. */
export const defaultDockerSocket = "/var/run/docker.sock";

/** Where buildkitd listens when nobody says otherwise. */
export const defaultBuildkitSocket = "/run/buildkit/buildkitd.sock";

const schemes =
  "unix:///path/buildkitd.sock, tcp://host:port, docker:///path/docker.sock or docker://host:port";

const notYet = new Set([
  "docker-container",
  "podman-container",
  "nerdctl-container",
  "kube-pod",
  "ssh",
  "npipe",
]);

/**
 * Reads a daemon address.
 *
 * `unix://` and `docker://` without a path mean the default socket. A bare absolute path is taken for a unix
 * socket of buildkitd, or of Docker when it ends in `docker.sock`. Throws `ERR_KILN_INVALID_ADDRESS`.
 */
export function parseAddress(text: string): Address {
  if (text.startsWith("/")) {
    return text.endsWith("docker.sock")
      ? { scheme: "docker", transport: "unix", path: text }
      : { scheme: "unix", path: text };
  }
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text);
  if (match === null) throw invalid(text, "it has no scheme", `Write ${schemes}.`);
  const scheme = (match[1] ?? "").toLowerCase();
  const rest = match[2] ?? "";
  switch (scheme) {
    case "unix":
      return { scheme, path: socketPath(text, rest, defaultBuildkitSocket) };
    case "tcp":
      return { scheme, ...hostPort(text, rest) };
    case "docker":
      if (rest === "" || rest.startsWith("/")) {
        return { scheme, transport: "unix", path: socketPath(text, rest, defaultDockerSocket) };
      }
      return { scheme, transport: "tcp", ...hostPort(text, rest) };
    case "http":
    case "https":
      throw invalid(text, "BuildKit does not speak HTTP/1", `Write ${schemes}.`);
    default:
      throw invalid(
        text,
        notYet.has(scheme) ? `${scheme}:// is not supported yet` : `${scheme}:// is no scheme of a BuildKit`,
        `Use ${schemes}.`,
      );
  }
}

/** The address as text; {@link parseAddress} reads it back. */
export function formatAddress(address: Address): string {
  if (address.scheme === "unix") return `unix://${address.path}`;
  if (address.scheme === "docker" && address.transport === "unix") return `docker://${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${address.scheme}://${host}:${address.port}`;
}

/** A `DOCKER_HOST` style address (`unix:///…`, `tcp://…`) as the address of that Docker's BuildKit. */
export function dockerAddress(dockerHost: string): Address {
  const address = parseAddress(dockerHost);
  switch (address.scheme) {
    case "unix":
      return { scheme: "docker", transport: "unix", path: address.path };
    case "tcp":
      return { scheme: "docker", transport: "tcp", host: address.host, port: address.port };
    default:
      return address;
  }
}

function socketPath(text: string, rest: string, standard: string): string {
  if (rest === "") return standard;
  if (!rest.startsWith("/")) {
    throw invalid(
      text,
      "a socket's path must be absolute",
      `Three slashes: unix:///run/buildkit/buildkitd.sock.`,
    );
  }
  if (rest.includes("\0")) throw invalid(text, "a path cannot hold a NUL character", undefined);
  return decodeURI(rest);
}

function hostPort(text: string, rest: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:/?#[\]]+)):(\d{1,5})\/?$/i.exec(rest);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw invalid(text, "it needs a host and a port", "Write tcp://build.example:1234.");
  }
  return { host, port };
}

function invalid(text: string, why: string, hint: string | undefined): KilnError {
  return new KilnError("ERR_KILN_INVALID_ADDRESS", `cannot use the address ${JSON.stringify(text)}: ${why}`, {
    hint,
  });
}
