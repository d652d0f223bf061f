import { checkOptions } from "../internal/check-options.js";
import type { Platform } from "../oci/platform.js";
import {
  checkBigInteger,
  checkChoice,
  checkFlag,
  checkInteger,
  checkName,
  checkText,
  wrongArgument,
} from "./check-argument.js";
import type { Constraints } from "./constraints.js";
import type { EnvList } from "./env-list.js";
import type { MountOptions, ProxyEnv, RunDevice, RunOptions, RunSecret, RunSsh } from "./exec-options.js";
import type { JoinedTexts } from "./op-fields.js";
import { type ContainerMeta, inputOf, type StateMeta } from "./state-props.js";
import type { Output } from "./vertex.js";

/** A secret of a command, all defaults filled in. */
export interface SecretNode {
  readonly id: string;
  readonly target: string | undefined;
  readonly env: string | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}

/** An ssh agent of a command, all defaults filled in. */
export type SshNode = Omit<SecretNode, "env" | "target"> & { readonly target: string };

/** How something is mounted. */
export interface MountHow {
  readonly readonly: boolean;
  readonly selector: string;
  readonly noOutput: boolean;
  /** Number of `pb.MountContentCache`. */
  readonly contentCache: number;
  readonly cache: { readonly id: string; readonly sharing: number } | undefined;
  readonly tmpfs: { readonly size: number | bigint } | undefined;
}

/** A bound, cache or tmpfs mount of a command. */
export interface MountNode {
  readonly target: string;
  readonly source: Output | undefined;
  readonly how: MountHow;
}

const plainMount: MountHow = Object.freeze({
  readonly: false,
  selector: "",
  noOutput: false,
  contentCache: 0,
  cache: undefined,
  tmpfs: undefined,
});
const readonlyMount: MountHow = Object.freeze({ ...plainMount, readonly: true });

/** What most commands say nothing about. */
export interface ExecExtras {
  readonly rootHow: MountHow;
  readonly mounts: readonly MountNode[];
  readonly secrets: readonly SecretNode[];
  readonly ssh: readonly SshNode[];
  readonly devices: readonly RunDevice[];
  readonly proxyEnv: ProxyEnv | undefined;
}

/**
 * A command before it is encoded, which is also the output of its root.
 *
 * Long chains keep one of these a step, and what they keep decides how fast they are: what follows from the rest is
 * computed, and what most commands share is one object.
 */
export class ExecNode implements Output, JoinedTexts {
  /** The words of the command. */
  readonly joined: string;
  readonly env: EnvList;
  readonly container: ContainerMeta;
  readonly constraints: Constraints;
  readonly root: Output | undefined;
  /** One object for all commands that say nothing more; another one after `ExecState.addMount`. */
  extras: ExecExtras;

  /** For {@link createExec}. */
  constructor({ root, args, meta, constraints }: ExecParts, extras: ExecExtras) {
    this.joined = args;
    this.env = meta.env;
    this.container = meta.container;
    this.constraints = constraints;
    this.root = root;
    this.extras = extras;
  }

  /** Tells vertices apart. */
  get kind(): "exec" {
    return "exec";
  }

  /** As an output: the command itself. */
  get vertex(): this {
    return this;
  }

  /** As an output: follows from the mounts when the graph is encoded. */
  get index(): 0 {
    return 0;
  }

  /** As an output: the root. */
  get mount(): undefined {
    return undefined;
  }

  /** As an output: the platform that the command was given explicitly. */
  get platform(): Platform | undefined {
    return this.constraints.platform;
  }
}

/** All mounts of a command but its secrets and sockets: the root first, then in the order of the calls. */
export function mountsOf({ root, extras }: ExecNode): readonly MountNode[] {
  return [{ target: "/", source: root, how: extras.rootHow }, ...extras.mounts];
}

/** Whether nothing but the root is mounted, secrets and sockets aside. */
export function mountsRootOnly({ extras }: ExecNode): boolean {
  return extras.mounts.length === 0;
}

/** Whether a mount has a result of its own that later ops can use. */
export function hasOutput({ how }: MountNode): boolean {
  return !how.noOutput && !how.readonly && how.cache === undefined && how.tmpfs === undefined;
}

/** What later ops get from a mount: its result, or its source if it is read-only. */
export function mountOutput(vertex: ExecNode, mount: MountNode): Output | undefined {
  if (mount.how.readonly) return mount.source;
  return { vertex, index: 0, mount, platform: vertex.constraints.platform };
}

/** What later ops get from the root of a command. */
export function rootOutput(vertex: ExecNode): Output | undefined {
  if (vertex.extras.rootHow.readonly) return vertex.root;
  return vertex;
}

const noMounts: readonly never[] = Object.freeze([]);

const noExtras: ExecExtras = Object.freeze({
  rootHow: plainMount,
  mounts: noMounts,
  secrets: noMounts,
  ssh: noMounts,
  devices: noMounts,
  proxyEnv: undefined,
});

/** What the parts of a command's node are made of. */
export interface ExecParts {
  readonly root: Output | undefined;
  /** The words, joined by NUL. */
  readonly args: string;
  readonly meta: StateMeta;
  readonly constraints: Constraints;
}

/** A command's node from its checked parts and the options that are about mounts, secrets and devices. */
export function createExec(call: string, parts: ExecParts, options: RunOptions): ExecNode {
  return new ExecNode(parts, resolveExtras(call, options));
}

const extraKeys: readonly (keyof RunOptions)[] = [
  ...(["readonlyRootFs", "mounts", "secrets", "ssh", "cdiDevices", "proxyEnv"] as const),
];

function resolveExtras(call: string, options: RunOptions): ExecExtras {
  if (!extraKeys.some((key) => options[key] !== undefined)) return noExtras;
  const {
    readonlyRootFs,
    mounts = noMounts,
    secrets = noMounts,
    ssh = noMounts,
    cdiDevices = noMounts,
  } = options;
  return Object.freeze({
    rootHow: checkFlag(call, "readonlyRootFs", readonlyRootFs) ? readonlyMount : plainMount,
    mounts: mounts.map(({ target, source, ...rest }, index) =>
      createMount(call, `mounts[${index}]`, { target, source, options: rest }),
    ),
    secrets: secrets.map((one) => resolveSecret(call, one)),
    ssh: ssh.map((one, index) => resolveSsh(call, one, index)),
    devices: cdiDevices.map((one) => resolveDevice(call, one)),
    proxyEnv: options.proxyEnv === undefined ? undefined : resolveProxy(call, options.proxyEnv),
  });
}

/** A checked mount. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function createMount(
  call: string,
  name: string,
  mount: { readonly target: string; readonly source: unknown; readonly options: MountOptions },
): MountNode {
  const { target, options } = mount;
  checkOptions(`${call} ${name}`, options, [
    ...["readonly", "sourcePath", "forceNoOutput", "contentCache", "cache", "tmpfs"],
  ]);
  checkName(call, `${name}.target`, target);
  const source = mount.source === undefined ? undefined : inputOf(call, `${name}.source`, mount.source);
  const cache = resolveCache(call, name, options.cache);
  const tmpfs = resolveTmpfs(call, name, options.tmpfs);
  if (tmpfs !== undefined && source !== undefined) {
    throw wrongArgument(call, `${name} is a tmpfs with a source`, "Leave out source: a tmpfs starts empty.");
  }
  if (tmpfs !== undefined && cache !== undefined) {
    throw wrongArgument(call, `${name} is both a cache and a tmpfs`, "Leave out one of cache and tmpfs.");
  }
  const { sourcePath, contentCache } = options;
  const how: MountHow = {
    readonly: checkFlag(call, `${name}.readonly`, options.readonly),
    selector: sourcePath === undefined ? "" : checkText(call, `${name}.sourcePath`, sourcePath),
    noOutput: checkFlag(call, `${name}.forceNoOutput`, options.forceNoOutput),
    contentCache: numberOf(call, `${name}.contentCache`, contentCache, ["default", "on", "off"]),
    cache,
    tmpfs,
  };
  return Object.freeze({ target, source, how: Object.freeze(how) });
}

/** The position of a word among the choices; 0 where it is left out. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function numberOf(call: string, name: string, value: unknown, choices: readonly string[]): number {
  return value === undefined ? 0 : choices.indexOf(checkChoice(call, name, value, choices));
}

function resolveCache(call: string, name: string, cache: MountOptions["cache"]): MountHow["cache"] {
  if (cache === undefined) return undefined;
  checkOptions(`${call} ${name}.cache`, cache, ["id", "sharing"]);
  const id = checkName(call, `${name}.cache.id`, cache.id);
  return {
    id,
    sharing: numberOf(call, `${name}.cache.sharing`, cache.sharing, ["shared", "private", "locked"]),
  };
}

function resolveTmpfs(call: string, name: string, tmpfs: MountOptions["tmpfs"]): MountHow["tmpfs"] {
  if (tmpfs === undefined) return undefined;
  if (tmpfs === true) return { size: 0 };
  checkOptions(`${call} ${name}.tmpfs`, tmpfs, ["size"]);
  const bounds = { min: 0n, max: 2n ** 63n - 1n };
  return { size: checkBigInteger(call, `${name}.tmpfs.size`, tmpfs.size ?? 0, bounds) };
}

function resolveSecret(call: string, secret: RunSecret): SecretNode {
  checkOptions(`${call} secrets`, secret, ["id", "target", "env", "uid", "gid", "mode", "optional"]);
  const target = secret.target === undefined ? undefined : checkName(call, "secrets target", secret.target);
  const env = secret.env === undefined ? undefined : checkName(call, "secrets env", secret.env);
  if (target === undefined && env === undefined) {
    throw wrongArgument(
      call,
      "a secret has neither target nor env",
      "Say where the command finds it: target or env.",
    );
  }
  const id = checkName(call, "secrets id", secret.id ?? target ?? env);
  return { id, target, env, ...resolveGrant(call, "secrets", secret, 0o400) };
}

function resolveSsh(call: string, ssh: RunSsh, index: number): SshNode {
  checkOptions(`${call} ssh`, ssh, ["id", "target", "uid", "gid", "mode", "optional"]);
  const id = ssh.id === undefined ? "" : checkText(call, "ssh id", ssh.id);
  const target = ssh.target === undefined ? "" : checkText(call, "ssh target", ssh.target);
  return {
    id,
    target: target === "" ? `/run/buildkit/ssh_agent.${index}` : target,
    ...resolveGrant(call, "ssh", ssh, 0o600),
  };
}

function resolveGrant(
  call: string,
  name: string,
  grant: RunSsh,
  defaultMode: number,
): { readonly uid: number; readonly gid: number; readonly mode: number; readonly optional: boolean } {
  const number = (key: "uid" | "gid" | "mode", fallback: number): number =>
    checkInteger(call, `${name} ${key}`, grant[key] ?? fallback, 0, 0xffffffff);
  return {
    uid: number("uid", 0),
    gid: number("gid", 0),
    mode: number("mode", defaultMode),
    optional: checkFlag(call, `${name} optional`, grant.optional),
  };
}

function resolveDevice(call: string, device: RunDevice): RunDevice {
  checkOptions(`${call} cdiDevices`, device, ["name", "optional"]);
  return {
    name: checkName(call, "cdiDevices name", device.name),
    optional: checkFlag(call, "cdiDevices optional", device.optional),
  };
}

function resolveProxy(call: string, proxy: ProxyEnv): ProxyEnv {
  const keys = ["httpProxy", "httpsProxy", "ftpProxy", "noProxy", "allProxy"] as const;
  checkOptions(`${call} proxyEnv`, proxy, keys);
  const checked: { -readonly [Key in keyof ProxyEnv]: ProxyEnv[Key] } = {};
  for (const key of keys) {
    const value = proxy[key];
    if (value !== undefined) checked[key] = checkText(call, `proxyEnv.${key}`, value);
  }
  return checked;
}
