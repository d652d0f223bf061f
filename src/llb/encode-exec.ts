import type { ExecFields, MountFields } from "./op-fields.js";
import { packTexts } from "./pack-texts.js";
import {
  createWriter,
  type WireWriter,
  writeFlag,
  writeInt32,
  writeInt64,
  writeText,
  writeUint32,
} from "./wire-writer.js";

const none: readonly never[] = [];

type MetaFields = NonNullable<ExecFields["meta"]>;

/** Writes the fields of `pb.ExecOp`. */
export function encodeExec(writer: WireWriter, exec: ExecFields): void {
  if (exec.meta !== undefined) {
    writer.uint32(10).bytes(encodeMeta(exec.meta));
  }
  for (const mount of exec.mounts ?? []) {
    writer.uint32(18).fork();
    encodeMount(writer, mount);
    writer.ldelim();
  }
  writeInt32(writer, 3, exec.network);
  writeInt32(writer, 4, exec.security);
  for (const secret of exec.secretenv ?? []) {
    writer.uint32(42).fork();
    writeText(writer, 1, secret.ID);
    writeText(writer, 2, secret.name);
    writeFlag(writer, 3, secret.optional);
    writer.ldelim();
  }
  for (const device of exec.cdiDevices ?? []) {
    writer.uint32(50).fork();
    writeText(writer, 1, device.name);
    writeFlag(writer, 2, device.optional);
    writer.ldelim();
  }
}

function encodeMeta(meta: MetaFields): Uint8Array {
  const writer = createWriter();
  writeText(writer, 3, meta.cwd);
  writeText(writer, 4, meta.user);
  const proxy = meta.proxyEnv;
  if (proxy !== undefined) {
    writer.uint32(42).fork();
    writeText(writer, 1, proxy.httpProxy);
    writeText(writer, 2, proxy.httpsProxy);
    writeText(writer, 3, proxy.ftpProxy);
    writeText(writer, 4, proxy.noProxy);
    writeText(writer, 5, proxy.allProxy);
    writer.ldelim();
  }
  for (const host of meta.extraHosts ?? []) {
    writer.uint32(50).fork();
    writeText(writer, 1, host.Host);
    writeText(writer, 2, host.IP);
    writer.ldelim();
  }
  writeText(writer, 7, meta.hostname);
  for (const limit of meta.ulimit ?? []) {
    writer.uint32(74).fork();
    writeText(writer, 1, limit.Name);
    writeInt64(writer, 2, limit.Soft);
    writeInt64(writer, 3, limit.Hard);
    writer.ldelim();
  }
  writeText(writer, 10, meta.cgroupParent);
  writeFlag(writer, 11, meta.removeMountStubsRecursive);
  const codes = meta.validExitCodes;
  if (codes !== undefined && codes.length > 0) {
    writer.uint32(98).fork();
    for (const code of codes) writer.int32(code);
    writer.ldelim();
  }
  const { args = none, env = none } = meta;
  return packTexts(
    [
      { number: 1, values: args },
      { number: 2, values: env },
    ],
    writer.finish(),
  );
}

function encodeMount(writer: WireWriter, mount: MountFields): void {
  writeInt64(writer, 1, mount.input);
  writeText(writer, 2, mount.selector);
  writeText(writer, 3, mount.dest);
  writeInt64(writer, 4, mount.output);
  writeFlag(writer, 5, mount.readonly);
  writeInt32(writer, 6, mount.mountType);
  if (mount.TmpfsOpt !== undefined) {
    writer.uint32(154).fork();
    writeInt64(writer, 1, mount.TmpfsOpt.size);
    writer.ldelim();
  }
  if (mount.cacheOpt !== undefined) {
    writer.uint32(162).fork();
    writeText(writer, 1, mount.cacheOpt.ID);
    writeInt32(writer, 2, mount.cacheOpt.sharing);
    writer.ldelim();
  }
  if (mount.secretOpt !== undefined) encodeGrant(writer, 170, mount.secretOpt);
  if (mount.SSHOpt !== undefined) encodeGrant(writer, 178, mount.SSHOpt);
  writeText(writer, 23, mount.resultID);
  writeInt32(writer, 24, mount.contentCache);
}

/** `SecretOpt` and `SSHOpt` have the same fields. */
function encodeGrant(
  writer: WireWriter,
  tag: number,
  grant: NonNullable<MountFields["secretOpt"] | MountFields["SSHOpt"]>,
): void {
  writer.uint32(tag).fork();
  writeText(writer, 1, grant.ID);
  writeUint32(writer, 2, grant.uid);
  writeUint32(writer, 3, grant.gid);
  writeUint32(writer, 4, grant.mode);
  writeFlag(writer, 5, grant.optional);
  writer.ldelim();
}
