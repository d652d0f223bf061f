import { compareBytes } from "./byte-order.js";
import { capability } from "./capabilities.js";
import { type ExecNode, hasOutput, type MountNode, mountsOf, mountsRootOnly } from "./exec-node.js";
import type { ExecFields, InputFields, MountFields, PairText } from "./op-fields.js";
import type { Output } from "./vertex.js";

/** Finds digest and index of an output whose vertex is encoded already. */
export type ResolveOutput = (output: Output) => InputFields;

/** The body of an op, its inputs, and the capabilities it needs. */
export interface LoweredExec {
  readonly inputs: readonly InputFields[];
  readonly exec: ExecFields;
  readonly caps: readonly string[];
}

const none: readonly never[] = Object.freeze([]);
const mountTypeSecret = 1;
const mountTypeSsh = 2;
const mountTypeCache = 3;
const mountTypeTmpfs = 4;
const unixPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The filesystems that a command mounts, each once, in the order in which Go's client visits them. */
export function execInputs(node: ExecNode): readonly Output[] {
  if (mountsRootOnly(node)) return node.root === undefined ? none : [node.root];
  const outputs = new Set<Output>();
  for (const mount of sortMounts(mountsOf(node))) if (mount.source !== undefined) outputs.add(mount.source);
  return [...outputs];
}

/** Number of the result that a mount leaves, among those of its command; without a mount, that of the root. */
export function outputIndex(node: ExecNode, mount: MountNode | undefined): number {
  if (mountsRootOnly(node)) return 0;
  const mounts = mountsOf(node);
  const wanted = (mount ?? mounts[0]) as MountNode;
  return sortMounts(mounts).filter(hasOutput).indexOf(wanted);
}

/** The order in which mounts are sent and their results are numbered: by target, byte-wise. */
function sortMounts(mounts: readonly MountNode[]): readonly MountNode[] {
  return mounts.length === 1 ? mounts : [...mounts].sort((a, b) => compareBytes(a.target, b.target));
}

/**
 * The command as the protocol has it.
 *
 * `supportedCaps` are the capabilities of the daemon where they are known; then the command relies on the daemon's
 * own default PATH, or gets one itself from a daemon that has none (`os` says whether it should).
 */
export function lowerExec(
  node: ExecNode,
  resolve: ResolveOutput,
  target: { readonly supportedCaps: ReadonlySet<string> | undefined; readonly os: string },
): LoweredExec {
  const { container } = node;
  const { secrets, ssh, devices, proxyEnv } = node.extras;
  const all = mountsOf(node);
  const defaultPath = target.supportedCaps?.has(capability.execSetsDefaultPath);
  const inputs: InputFields[] = [];
  const mounts: MountFields[] = [];
  let outputs = 0;
  for (const mount of sortMounts(all)) {
    const output = hasOutput(mount) ? outputs++ : -1;
    mounts.push(lowerMount(mount, inputIndex(inputs, mount, resolve), output));
  }
  for (const { id, target: dest, uid, gid, mode, optional } of secrets) {
    if (dest === undefined) continue;
    mounts.push({
      input: -1,
      dest,
      mountType: mountTypeSecret,
      secretOpt: { ID: id, uid, gid, mode, optional },
    });
  }
  for (const { id, target: dest, uid, gid, mode, optional } of ssh) {
    mounts.push({ input: -1, dest, mountType: mountTypeSsh, SSHOpt: { ID: id, uid, gid, mode, optional } });
  }
  const exec: ExecFields = {
    meta: {
      args: node,
      env: environment(node, defaultPath === false && target.os !== "windows"),
      cwd: container.dir,
      user: container.user,
      hostname: container.hostname,
      cgroupParent: container.cgroupParent,
      removeMountStubsRecursive: true,
      validExitCodes: container.validExitCodes,
      extraHosts: container.extraHosts?.items().map(({ host, ip }) => ({ Host: host, IP: ip })),
      ulimit: container.ulimits
        ?.items()
        .map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
      proxyEnv,
    },
    mounts,
    network: container.network,
    security: container.security,
    secretenv: secrets.length === 0 ? none : secretVariables(node),
    cdiDevices: devices,
  };
  return { inputs, exec, caps: capsOf(node, all, defaultPath === true) };
}

function secretVariables(node: ExecNode): NonNullable<ExecFields["secretenv"]> {
  return node.extras.secrets.flatMap(({ id, env, optional }) =>
    env === undefined ? [] : [{ ID: id, name: env, optional }],
  );
}

function environment(node: ExecNode, needsPath: boolean): readonly PairText[] {
  let env = node.env;
  const agent = node.extras.ssh[0];
  if (agent !== undefined && env.get("SSH_AUTH_SOCK") === undefined)
    env = env.set("SSH_AUTH_SOCK", agent.target);
  if (needsPath && env.get("PATH") === undefined) env = env.set("PATH", unixPath);
  return env.members();
}

function inputIndex(inputs: InputFields[], mount: MountNode, resolve: ResolveOutput): number {
  if (mount.source === undefined) return -1;
  const input = resolve(mount.source);
  const known = inputs.findIndex(({ digest, index }) => digest === input.digest && index === input.index);
  return known >= 0 ? known : inputs.push(input) - 1;
}

function lowerMount(mount: MountNode, input: number, output: number): MountFields {
  const { cache, tmpfs } = mount.how;
  return {
    input,
    selector: mount.how.selector,
    dest: mount.target,
    output,
    readonly: mount.how.readonly,
    mountType: cache !== undefined ? mountTypeCache : tmpfs !== undefined ? mountTypeTmpfs : 0,
    TmpfsOpt: tmpfs,
    cacheOpt: cache === undefined ? undefined : { ID: cache.id, sharing: cache.sharing },
    contentCache: mount.how.contentCache,
  };
}

// What a command needs that says nothing but what to run; shared, so that its metadata is made once.
const plainCaps: readonly string[] = Object.freeze([capability.execBase, capability.mountBind]);

function capsOf(node: ExecNode, mounts: readonly MountNode[], setsDefaultPath: boolean): readonly string[] {
  const { container } = node;
  const { secrets, ssh, devices, proxyEnv } = node.extras;
  const caps: string[] = [];
  if (setsDefaultPath) caps.push(capability.execSetsDefaultPath);
  if (container.validExitCodes.length > 0) caps.push(capability.execValidExitCode);
  if (container.ulimits !== undefined) caps.push(capability.execUlimit);
  if (node.constraints.linuxResources !== undefined) caps.push(capability.execLinuxResources);
  if (container.network !== 0) caps.push(capability.execNetwork);
  if (container.security !== 0) caps.push(capability.execSecurity);
  if (proxyEnv !== undefined) caps.push(capability.execProxy);
  if (secrets.length > 0) caps.push(capability.mountSecret);
  if (secrets.some(({ env }) => env !== undefined)) caps.push(capability.execSecretEnv);
  if (ssh.length > 0) caps.push(capability.mountSsh);
  if (devices.length > 0) caps.push(capability.execCdi);
  if (caps.length === 0 && mounts.length === 1 && mounts[0]?.source !== undefined) return plainCaps;
  caps.push(capability.execBase, ...mounts.flatMap(capsOfMount));
  return caps;
}

function capsOfMount(mount: MountNode): readonly string[] {
  const caps: string[] = [];
  if (mount.how.selector !== "") caps.push(capability.mountSelector);
  if (mount.how.cache !== undefined) caps.push(capability.mountCache, capability.mountCacheSharing);
  else if (mount.how.tmpfs !== undefined) {
    caps.push(capability.mountTmpfs);
    if (mount.how.tmpfs.size > 0) caps.push(capability.mountTmpfsSize);
  } else if (mount.source !== undefined) caps.push(capability.mountBind);
  if (mount.how.contentCache !== 0) caps.push(capability.mountContentCache);
  return caps;
}
