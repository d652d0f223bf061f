import type { ConstraintOptions } from "./constraints.js";
import type { StateOption } from "./state.js";
import type { HasStateProps } from "./state-props.js";

/** Where a command may connect to: its own network behind the daemon's, the daemon's itself, or nowhere. */
export type NetworkMode = "sandbox" | "host" | "none";

/** How confined a command runs. `insecure` needs the entitlement `security.insecure`. */
export type SecurityMode = "sandbox" | "insecure";

/** Who may write to a cache mount: all at once, each its own copy, or one after another. */
export type CacheSharing = "shared" | "private" | "locked";

/** How a mount outside the root filesystem is mounted. A mount is bound, a cache or a tmpfs. */
export interface MountOptions {
  /** The command cannot write to it, and its result is its source. */
  readonly readonly?: boolean | undefined;
  /** The directory or file within the source that is mounted (Go's `SourcePath`). */
  readonly sourcePath?: string | undefined;
  /** What the command writes there is thrown away (Go's `ForceNoOutput`). */
  readonly forceNoOutput?: boolean | undefined;
  /** Whether the daemon may use the content of a read-only source as cache key. Needs BuildKit 0.13. */
  readonly contentCache?: "default" | "on" | "off" | undefined;
  /** A directory that outlives the build, named by `id` (Go's `AsPersistentCacheDir`). Default sharing: `shared`. */
  readonly cache?: { readonly id: string; readonly sharing?: CacheSharing | undefined } | undefined;
  /** An empty directory in memory; `size` is its limit in bytes, 0 = the daemon's. */
  readonly tmpfs?: true | { readonly size?: number | bigint | undefined } | undefined;
}

/** A mount of a command: where, what and how. */
export interface RunMount extends MountOptions {
  readonly target: string;
  /** Default: an empty filesystem. */
  readonly source?: HasStateProps | undefined;
}

/** A secret of the session's, as a file, as an environment variable or as both. Its value is in no op. */
export interface RunSecret {
  /** Default: `target`, else `env`. */
  readonly id?: string | undefined;
  /** Path of the file. */
  readonly target?: string | undefined;
  /** Name of the variable. Needs BuildKit 0.10. */
  readonly env?: string | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Permission bits of the file. Default `0o400`. */
  readonly mode?: number | undefined;
  /** A missing secret is no error. */
  readonly optional?: boolean | undefined;
}

/** A socket of an ssh agent of the session's. */
export interface RunSsh {
  /** Which agent; `""`, the default, is the session's own default. */
  readonly id?: string | undefined;
  /** Path of the socket. Default `/run/buildkit/ssh_agent.N`. */
  readonly target?: string | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Permission bits of the socket. Default `0o600`. */
  readonly mode?: number | undefined;
  /** A missing agent is no error. */
  readonly optional?: boolean | undefined;
}

/** Proxies that a command finds in its environment. They are not part of its cache key. */
export interface ProxyEnv {
  readonly httpProxy?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly ftpProxy?: string | undefined;
  readonly noProxy?: string | undefined;
  readonly allProxy?: string | undefined;
}

/** A device by its CDI name, e.g. `vendor.com/gpu=0`. Needs BuildKit 0.20. */
export interface RunDevice {
  readonly name: string;
  /** A missing device is no error. */
  readonly optional?: boolean | undefined;
}

/**
 * Options of `State.run`.
 *
 * Those that a state has too (`dir` to `validExitCodes`, `with`) hold for this command alone.
 */
export interface RunOptions extends ConstraintOptions {
  /** Working directory; a relative one starts at the state's. */
  readonly dir?: string | undefined;
  /** Further environment variables, set in this order. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly user?: string | undefined;
  readonly hostname?: string | undefined;
  readonly network?: NetworkMode | undefined;
  readonly security?: SecurityMode | undefined;
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[] | undefined;
  readonly ulimits?:
    | readonly { readonly name: string; readonly soft: number | bigint; readonly hard: number | bigint }[]
    | undefined;
  readonly cgroupParent?: string | undefined;
  /** Exit codes that count as success; empty = 0 alone. Needs BuildKit 0.17. */
  readonly validExitCodes?: readonly number[] | undefined;
  /** Further changes to the state for this command alone, after all the others. */
  readonly with?: StateOption | readonly StateOption[] | undefined;

  readonly mounts?: readonly RunMount[] | undefined;
  readonly secrets?: readonly RunSecret[] | undefined;
  readonly ssh?: readonly RunSsh[] | undefined;
  readonly cdiDevices?: readonly RunDevice[] | undefined;
  readonly proxyEnv?: ProxyEnv | undefined;
  /** The command cannot write to its root; the state after it is the state before it. */
  readonly readonlyRootFs?: boolean | undefined;
}
