import { KilnError } from "../errors.js";

/** A BuildKit or Docker daemon, as {@link parseAddress} reads it. */
export type Address = UnixAddress | TcpAddress | DockerSocketAddress | DockerTcpAddress | CommandAddress;

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

/** buildkitd in a container of Docker, Podman or nerdctl, reached through that program. */
export interface ContainerAddress {
  readonly scheme: "docker-container" | "podman-container" | "nerdctl-container";
  readonly container: string;
  /** Docker's context. */
  readonly context?: string | undefined;
  /** nerdctl's namespace. */
  readonly namespace?: string | undefined;
}

/** buildkitd in a pod, reached through kubectl. What is left out is kubectl's own choice. */
export interface PodAddress {
  readonly scheme: "kube-pod";
  readonly pod: string;
  readonly context?: string | undefined;
  readonly namespace?: string | undefined;
  readonly container?: string | undefined;
}

/** A machine reached through ssh: its buildkitd, or the BuildKit of its Docker. */
export interface SshAddress {
  readonly scheme: "ssh" | "docker+ssh";
  readonly host: string;
  readonly user?: string | undefined;
  readonly port?: number | undefined;
  /** buildkitd's socket; default that of `buildctl` there. */
  readonly socket?: string | undefined;
}

/** An address that another program connects to. */
export type CommandAddress = ContainerAddress | PodAddress | SshAddress;

/** Where Docker Engine listens when nobody says otherwise. */
export const defaultDockerSocket = "/var/run/docker.sock";

/** Where buildkitd listens when nobody says otherwise. */
export const defaultBuildkitSocket = "/run/buildkit/buildkitd.sock";

const schemes =
  "unix:///path/buildkitd.sock, tcp://host:port, docker:///path/docker.sock, docker://host:port, " +
  "docker-container://NAME, podman-container://NAME, nerdctl-container://NAME, kube-pod://POD, ssh://USER@HOST " +
  "or docker+ssh://USER@HOST";

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
    case "docker-container":
    case "podman-container":
    case "nerdctl-container":
    case "kube-pod":
    case "ssh":
    case "docker+ssh":
      return commandAddress(text, scheme, rest);
    case "http":
    case "https":
      throw invalid(text, "BuildKit does not speak HTTP/1", `Write ${schemes}.`);
    default:
      throw invalid(
        text,
        scheme === "npipe"
          ? "npipe:// is for BuildKit on Windows, which is not supported"
          : `${scheme}:// is no scheme of a BuildKit`,
        `Use ${schemes}.`,
      );
  }
}

/** The address as text; {@link parseAddress} reads it back. */
export function formatAddress(address: Address): string {
  if (address.scheme === "unix") return `unix://${address.path}`;
  if (isCommandAddress(address)) return formatCommandAddress(address);
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
    case "ssh":
      return { ...address, scheme: "docker+ssh" };
    default:
      return address;
  }
}

/** Whether another program connects to an address. */
export function isCommandAddress(address: Address): address is CommandAddress {
  return !(address.scheme === "unix" || address.scheme === "tcp" || address.scheme === "docker");
}

// Names are arguments of another program: none may look like an option, or hold what its shell would read.
const plainName = /^[a-zA-Z0-9][\w.-]*$/;

function commandAddress(text: string, scheme: CommandAddress["scheme"], rest: string): CommandAddress {
  const url = URL.canParse(`x://${rest}`) ? new URL(`x://${rest}`) : undefined;
  if (url === undefined || url.hostname === "" || url.hash !== "" || url.password !== "") {
    throw invalid(
      text,
      "it needs a name, and can hold no password and no fragment",
      `Write ${scheme}://${scheme.endsWith("ssh") ? "USER@HOST" : "NAME"}.`,
    );
  }
  if (scheme === "ssh" || scheme === "docker+ssh") return sshAddress(text, scheme, url);
  const name = named(text, decodeURIComponent(url.hostname));
  if (url.port !== "" || url.username !== "" || !["", "/"].includes(url.pathname)) {
    throw invalid(text, "it can only hold a name and options", `Write ${scheme}://NAME.`);
  }
  const allowed = queryKeys[scheme];
  const options: Record<string, string> = {};
  for (const [key, value] of url.searchParams) {
    if (!allowed.includes(key)) {
      const list = allowed.length === 0 ? "It takes none." : `It takes: ${allowed.join(", ")}.`;
      throw invalid(text, `it has the unknown option ${key}`, list);
    }
    options[key] = named(text, value);
  }
  return scheme === "kube-pod" ? { scheme, pod: name, ...options } : { scheme, container: name, ...options };
}

const queryKeys: Readonly<
  Record<Exclude<CommandAddress["scheme"], "ssh" | "docker+ssh">, readonly string[]>
> = {
  "docker-container": ["context"],
  "podman-container": [],
  "nerdctl-container": ["namespace"],
  "kube-pod": ["context", "namespace", "container"],
};

function named(text: string, value: string): string {
  if (plainName.test(value)) return value;
  throw invalid(text, `${JSON.stringify(value)} is no plain name`, "Use letters, digits, dots and dashes.");
}

function sshAddress(text: string, scheme: SshAddress["scheme"], url: URL): SshAddress {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!/^[a-zA-Z0-9:][\w.:%-]*$/.test(host))
    throw invalid(text, "its host is none", "Write ssh://USER@HOST.");
  if (url.search !== "") throw invalid(text, "it can hold no options", "Put them into your ssh config.");
  const socket = url.pathname === "" || url.pathname === "/" ? undefined : decodeURIComponent(url.pathname);
  if (socket !== undefined && (scheme === "docker+ssh" || !/^[\w./-]+$/.test(socket))) {
    throw invalid(text, "its path is no plain path of a socket", "Leave it out for the usual socket.");
  }
  return {
    scheme,
    host,
    ...(url.username === "" ? {} : { user: named(text, decodeURIComponent(url.username)) }),
    ...(url.port === "" ? {} : { port: Number(url.port) }),
    ...(socket === undefined ? {} : { socket }),
  };
}

function formatCommandAddress(address: CommandAddress): string {
  if ("host" in address) {
    const { scheme, user, port, socket = "" } = address;
    const host = address.host.includes(":") ? `[${address.host}]` : address.host;
    return `${scheme}://${user === undefined ? "" : `${user}@`}${host}${port === undefined ? "" : `:${port}`}${socket}`;
  }
  const { scheme, ...options } = address;
  const name = address.scheme === "kube-pod" ? address.pod : address.container;
  const query = queryKeys[scheme].flatMap((key) => {
    const value = (options as Readonly<Record<string, string | undefined>>)[key];
    return value === undefined ? [] : [`${key}=${value}`];
  });
  return `${scheme}://${name}${query.length === 0 ? "" : `?${query.join("&")}`}`;
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
