import type * as pb from "../gen/pb/ops_pb.js";
import { capability } from "./capabilities.js";
import { decodeOp } from "./decode-op.js";
import type { Definition } from "./definition.js";
import type { EncodedOp } from "./encoded-op.js";
import type { RunSecret } from "./exec-options.js";
import { invalidDefinition } from "./invalid-definition.js";
import { createMessage, encodeMessage } from "./message-codec.js";
import { type OpChange, rawField, rewriteOps } from "./rewrite-ops.js";
import { readFields } from "./wire-reader.js";
import { createWriter } from "./wire-writer.js";

// Field numbers of `pb.Op`.
const opInput = 1;
const opExec = 2;
// Values of `pb.MountType`.
const bindMount = 0;
const secretMount = 1;
const cacheMount = 3;

/** What a command of a definition gets in addition. */
export interface ExecAdditions {
  /** Variables; one of the same name that the command has already is replaced. */
  readonly env?: readonly (readonly [string, string])[] | undefined;
  /** Secrets of the session's, as variables or as files. */
  readonly secrets?: readonly RunSecret[] | undefined;
  /** Other ids for the secrets that the command names itself; `undefined` leaves one. */
  readonly secretId?: ((id: string) => string | undefined) | undefined;
  /** CDI names of devices. */
  readonly devices?: readonly string[] | undefined;
  readonly binds?: readonly ExecBind[] | undefined;
}

/** A file or directory that a command sees in addition. */
export interface ExecBind {
  readonly target: string;
  readonly source: Definition;
  /** Path in the source. */
  readonly sourcePath: string;
  /** The command may write there, for nobody to see; then the source itself, not its content, is part of its key. */
  readonly writable?: boolean | undefined;
}

/** A command of a definition. */
export interface DefinitionExec {
  readonly op: EncodedOp;
  readonly args: readonly string[];
  /** It has cache directories. */
  readonly hasCaches: boolean;
}

/**
 * The definition with additions to its commands. `add` is asked for each one and answers `undefined` to leave it. What
 * this code does not know of a command stays. The rest is as {@link rewriteOps} has it.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read, and what `add` throws.
 */
export function rewriteExecs(
  definition: Definition,
  add: (exec: DefinitionExec) => ExecAdditions | undefined,
): Definition {
  return rewriteOps(definition, (op, bytes, where) => {
    if (!readFields(bytes, where).some(({ number }) => number === opExec)) return undefined;
    const message = decodeOp(bytes, where);
    if (message.op.case !== "exec") return undefined;
    const exec = message.op.value;
    const hasCaches = exec.mounts.some(({ mountType }) => mountType === cacheMount);
    const additions = add({ op, args: exec.meta?.args ?? [], hasCaches });
    return additions && changedExec(bytes, message, { exec, additions, where });
  });
}

function changedExec(
  bytes: Uint8Array,
  message: pb.Op,
  what: { readonly exec: pb.ExecOp; readonly additions: ExecAdditions; readonly where: string },
): OpChange | undefined {
  const { exec, additions, where } = what;
  const before = encodeMessage("ExecOp", exec);
  const caps: string[] = [];
  const newInputs = addBinds(exec, additions.binds ?? [], { known: message.inputs, caps, where });
  addEnv(exec, additions.env ?? []);
  renameSecrets(exec, additions.secretId);
  addSecrets(exec, additions.secrets ?? [], caps);
  for (const name of additions.devices ?? []) {
    if (exec.cdiDevices.some((device) => device.name === name)) continue;
    exec.cdiDevices.push(createMessage("CDIDevice", { name }));
    caps.push(capability.execCdi);
  }
  // A message without oneofs: its fields in the order of their numbers are the protocol's canonical form.
  const after = encodeMessage("ExecOp", exec);
  if (newInputs.length === 0 && Buffer.compare(before, after) === 0) return undefined;
  return {
    bytes: spliced(bytes, { exec: after, newInputs, where }),
    caps,
    needs: (additions.binds ?? []).map(({ source }) => source),
  };
}

/** The op's bytes with another command and further inputs; its other fields stay where they are. */
function spliced(
  bytes: Uint8Array,
  to: {
    readonly exec: Uint8Array;
    readonly newInputs: readonly { readonly digest: string; readonly index: number }[];
    readonly where: string;
  },
): Uint8Array {
  const fields = readFields(bytes, to.where);
  const command = createWriter()
    .uint32(opExec * 8 + 2)
    .bytes(to.exec)
    .finish();
  const inputs = to.newInputs.map(({ digest, index }) => {
    const writer = createWriter()
      .uint32(opInput * 8 + 2)
      .fork()
      .uint32(10)
      .string(digest);
    if (index !== 0) writer.uint32(16).int64(index);
    return writer.ldelim().finish();
  });
  const first = fields.findIndex(({ number }) => number === opExec);
  const lastInput = fields.findLastIndex(({ number }) => number === opInput);
  const parts: Uint8Array[] = lastInput < 0 ? [...inputs] : [];
  for (const [index, { number }] of fields.entries()) {
    // A message that comes in several pieces is the pieces one after another: the first gets all of it.
    if (index === first) parts.push(command);
    else if (number !== opExec) parts.push(rawField(bytes, fields, index));
    if (index === lastInput) parts.push(...inputs);
  }
  return Buffer.concat(parts);
}

function addEnv(exec: pb.ExecOp, env: readonly (readonly [string, string])[]): void {
  const { meta } = exec;
  if (meta === undefined || env.length === 0) return;
  const added = new Map(env);
  const kept = meta.env.filter((entry) => !added.has(entry.slice(0, Math.max(0, entry.indexOf("=")))));
  meta.env = [...kept, ...[...added].map(([key, value]) => `${key}=${value}`)];
}

function renameSecrets(exec: pb.ExecOp, rename: ExecAdditions["secretId"]): void {
  if (rename === undefined) return;
  for (const secret of exec.secretenv) secret.ID = rename(secret.ID) ?? secret.ID;
  for (const { secretOpt } of exec.mounts) {
    if (secretOpt !== undefined) secretOpt.ID = rename(secretOpt.ID) ?? secretOpt.ID;
  }
}

function addSecrets(exec: pb.ExecOp, secrets: readonly RunSecret[], caps: string[]): void {
  for (const { env, target, id = target ?? env ?? "", uid, gid, mode = 0o400, optional } of secrets) {
    caps.push(capability.mountSecret);
    // What the command's own text says of a variable counts.
    if (env !== undefined && !exec.secretenv.some(({ name }) => name === env)) {
      exec.secretenv.push(createMessage("SecretEnv", { ID: id, name: env, optional: optional ?? false }));
      caps.push(capability.execSecretEnv);
    }
    if (target === undefined) continue;
    exec.mounts.push(
      createMessage("Mount", {
        ...{ input: -1n, dest: target, mountType: secretMount },
        secretOpt: createMessage("SecretOpt", {
          ...{ ID: id, uid: uid ?? 0, gid: gid ?? 0, mode, optional: optional ?? false },
        }),
      }),
    );
  }
}

/** Adds mounts and says which inputs they need beside those that are there. */
function addBinds(
  exec: pb.ExecOp,
  binds: readonly ExecBind[],
  to: {
    readonly known: readonly { readonly digest: string; readonly index: bigint }[];
    readonly caps: string[];
    readonly where: string;
  },
): readonly { readonly digest: string; readonly index: number }[] {
  const inputs = to.known.map(({ digest, index }) => ({ digest, index: Number(index) }));
  for (const { target, source, sourcePath, writable } of binds) {
    const head = source.head();
    if (head === undefined) throw invalidDefinition(`what ${to.where} is to mount at ${target} is empty`);
    const found = inputs.findIndex(({ digest, index }) => digest === head.digest && index === head.index);
    const input = found >= 0 ? found : inputs.push(head) - 1;
    // Results are numbered in the order of the mounts.
    const output = writable === true ? exec.mounts.filter(makesResult).length : -1;
    exec.mounts.push(
      createMessage("Mount", {
        ...{ input: BigInt(input), dest: target, selector: sourcePath },
        ...{ output: BigInt(output), readonly: writable !== true },
      }),
    );
    to.caps.push(capability.mountBind, capability.mountSelector);
  }
  return inputs.slice(to.known.length);
}

function makesResult({ mountType, output }: pb.Mount): boolean {
  return mountType === bindMount && output >= 0n;
}
