import type { MessageInitShape } from "@bufbuild/protobuf";
import { CacheSharingOpt, type MountSchema, MountType, NetMode } from "../../gen/pb/ops_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import {
  checkChoice,
  checkFlag,
  checkInteger,
  checkName,
  checkText,
  wrongArgument,
} from "../../llb/check-argument.js";
import type { Platform } from "../../oci/platform.js";
import { type AbortOptions, Ref } from "./ref.js";

/** Who owns a secret or socket in a container, and who may read it. */
export interface ContainerGrant {
  /** Of the session's secret or agent. */
  readonly id: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Default 0400 for secrets, 0600 for agents. */
  readonly mode?: number | undefined;
  /** Leaves it out if the session has none. Default false. */
  readonly optional?: boolean | undefined;
}

/** Something mounted into a container: a ref, or one of the special mounts, or an empty directory. */
export interface ContainerMount {
  /** Absolute; one mount must be at `/`. */
  readonly target: string;
  /** What is mounted; changes stay in the container. Default empty. */
  readonly ref?: Ref | undefined;
  /** Path within `ref`; default all of it. */
  readonly sourcePath?: string | undefined;
  readonly readonly?: boolean | undefined;
  /** A directory that outlives builds. */
  readonly cache?: { readonly id: string; readonly sharing?: "shared" | "private" | "locked" | undefined };
  /** A directory in memory. */
  readonly tmpfs?: boolean | undefined;
  /** A secret as a file. */
  readonly secret?: ContainerGrant | undefined;
  /** An ssh agent's socket. */
  readonly ssh?: ContainerGrant | undefined;
}

/** Options of `Gateway.newContainer`. */
export interface ContainerOptions extends AbortOptions {
  readonly mounts: readonly ContainerMount[];
  /** `host` needs the entitlement `network.host`. Default `sandbox`. */
  readonly network?: "sandbox" | "host" | "none" | undefined;
  /** Default the daemon's. */
  readonly platform?: Platform | undefined;
  readonly hostname?: string | undefined;
  /** Names for the container's `/etc/hosts` with their addresses. */
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[] | undefined;
}

type PbMount = MessageInitShape<typeof MountSchema>;

/** What the daemon is told of a container. */
export interface ContainerRequest {
  readonly mounts: readonly PbMount[];
  readonly network?: NetMode | undefined;
  readonly platform?: Platform | undefined;
  readonly hostname?: string | undefined;
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[] | undefined;
}

const containerKeys: readonly string[] = [
  ...["mounts", "network", "platform", "hostname", "extraHosts", "signal"],
];

/** The daemon's message for checked options. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function containerRequest(call: string, options: ContainerOptions): ContainerRequest {
  checkOptions(call, options, containerKeys);
  if (!Array.isArray(options.mounts)) throw wrongArgument(call, "mounts must be an array", rootHint);
  const mounts = options.mounts.map((mount, index) => mountToPb(call, `mounts[${index}]`, mount));
  if (!mounts.some(({ dest }) => dest === "/")) {
    throw wrongArgument(call, "nothing is mounted at /", rootHint);
  }
  const words = ["sandbox", "host", "none"] as const;
  return {
    mounts,
    network: networks[checkChoice(call, "network", options.network ?? "sandbox", words)],
    platform: options.platform,
    hostname: options.hostname === undefined ? undefined : checkName(call, "hostname", options.hostname),
    extraHosts: options.extraHosts,
  };
}

const networks = { sandbox: NetMode.UNSET, host: NetMode.HOST, none: NetMode.NONE } as const;
const sharings = {
  shared: CacheSharingOpt.SHARED,
  private: CacheSharingOpt.PRIVATE,
  locked: CacheSharingOpt.LOCKED,
} as const;

const rootHint = 'Pass the filesystem to run in: mounts: [{ target: "/", ref }].';

function mountToPb(call: string, name: string, mount: ContainerMount): PbMount {
  checkOptions(`${call} ${name}`, mount, [
    ...["target", "ref", "sourcePath", "readonly", "cache", "tmpfs", "secret", "ssh"],
  ]);
  const { ref, cache, secret, ssh } = mount;
  const tmpfs = checkFlag(call, `${name}.tmpfs`, mount.tmpfs);
  const special = [cache !== undefined, tmpfs, secret !== undefined, ssh !== undefined].filter(Boolean);
  if (special.length > 1 || (special.length === 1 && ref !== undefined && cache === undefined)) {
    throw wrongArgument(
      call,
      `${name} is two things at once`,
      "Give one of ref, cache, tmpfs, secret and ssh; only cache goes with a ref, which it starts from.",
    );
  }
  if (ref !== undefined && !(ref instanceof Ref)) {
    throw wrongArgument(call, `${name}.ref is no Ref`, "Pass the ref of a gateway.solve() of this build.");
  }
  const dest = checkName(call, `${name}.target`, mount.target);
  if (!dest.startsWith("/")) throw wrongArgument(call, `${name}.target is relative`, `Write /${dest}.`);
  const words = ["shared", "private", "locked"] as const;
  return {
    dest,
    selector: mount.sourcePath === undefined ? "" : checkText(call, `${name}.sourcePath`, mount.sourcePath),
    readonly: checkFlag(call, `${name}.readonly`, mount.readonly),
    resultID: ref?.id ?? "",
    ...(tmpfs ? { mountType: MountType.TMPFS } : {}),
    ...(cache === undefined
      ? {}
      : {
          mountType: MountType.CACHE,
          cacheOpt: {
            ID: checkName(call, `${name}.cache.id`, cache.id),
            sharing: sharings[checkChoice(call, `${name}.cache.sharing`, cache.sharing ?? "shared", words)],
          },
        }),
    ...(secret === undefined
      ? {}
      : { mountType: MountType.SECRET, secretOpt: grantToPb(call, `${name}.secret`, secret, 0o400) }),
    ...(ssh === undefined
      ? {}
      : { mountType: MountType.SSH, SSHOpt: grantToPb(call, `${name}.ssh`, ssh, 0o600) }),
  };
}

function grantToPb(call: string, name: string, grant: ContainerGrant, mode: number) {
  checkOptions(`${call} ${name}`, grant, ["id", "uid", "gid", "mode", "optional"]);
  return {
    ID: checkName(call, `${name}.id`, grant.id),
    uid: checkInteger(call, `${name}.uid`, grant.uid ?? 0, 0, 0xffffffff),
    gid: checkInteger(call, `${name}.gid`, grant.gid ?? 0, 0, 0xffffffff),
    mode: checkInteger(call, `${name}.mode`, grant.mode ?? mode, 0, 0o7777),
    optional: checkFlag(call, `${name}.optional`, grant.optional),
  };
}
