import type { Definition } from "./definition.js";
import { type EncodedOp, nameOp } from "./encoded-op.js";
import { invalidDefinition } from "./invalid-definition.js";
import type { OpMetadataFields, SourceMapFields } from "./op-fields.js";
import { mergeMetadata } from "./op-metadata.js";
import { bytesOf, readFields, type WireField } from "./wire-reader.js";

// Field numbers of `pb.Op` and `pb.Input`.
const opInput = 1;
const inputDigest = 1;

/** What an op becomes. */
export interface OpChange {
  readonly bytes: Uint8Array;
  /** Ids of capabilities that it needs beside those that it already asks for. */
  readonly caps: readonly string[];
  /** Graphs that it depends on and that may not be there yet. */
  readonly needs?: readonly Definition[] | undefined;
}

/**
 * The definition with other ops. `change` is asked for each one but the last and answers `undefined` to leave it; it gets
 * the op as it was, and its bytes with the new names of its inputs.
 *
 * The ops that depend on a changed one get new digests and keep every other byte; metadata and source locations move
 * with them. Two ops that become the same are one op. Returns the same definition if nothing changes. Takes time in
 * proportion to the number of ops.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read, and what `change` throws.
 */
export function rewriteOps(
  definition: Definition,
  change: (op: EncodedOp, bytes: Uint8Array, where: string) => OpChange | undefined,
): Definition {
  const renamed = new Map<string, string>();
  const neededCaps = new Map<string, readonly string[]>();
  const ops: EncodedOp[] = [];
  const present = new Set<string>();
  const added = new Map<string, OpMetadataFields>();
  const last = definition.ops.length - 1;
  for (const [index, op] of definition.ops.entries()) {
    const where = `op ${index}`;
    const current = renamed.size > 0 ? withInputs(op, renamed, where) : op;
    const changed = index === last ? undefined : change(op, current.bytes, where);
    for (const needed of changed?.needs ?? []) addOps(needed, { ops, present, added });
    const next = changed === undefined ? current : nameOp(changed.bytes);
    if (changed !== undefined && changed.caps.length > 0) neededCaps.set(next.digest, changed.caps);
    if (next.digest !== op.digest) renamed.set(op.digest, next.digest);
    // The last op is the graph's result, whatever it is equal to.
    if (present.has(next.digest) && index < last) continue;
    present.add(next.digest);
    ops.push(next);
  }
  if (renamed.size === 0) return definition;
  return definition.withOps(
    {
      ops,
      metadata: moveMetadata(definition.metadata, added, renamed, neededCaps),
      source: definition.source && moveLocations(definition.source, renamed),
    },
    renamed,
  );
}

/** The part of a message that a field takes, tag included. */
export function rawField(message: Uint8Array, fields: readonly WireField[], index: number): Uint8Array {
  return message.subarray(fields[index]?.offset, fields[index + 1]?.offset);
}

function addOps(
  needed: Definition,
  to: {
    readonly ops: EncodedOp[];
    readonly present: Set<string>;
    readonly added: Map<string, OpMetadataFields>;
  },
): void {
  for (const op of needed.ops.slice(0, -1)) {
    if (to.present.has(op.digest)) continue;
    to.present.add(op.digest);
    to.ops.push(op);
    const metadata = needed.metadata.get(op.digest);
    if (metadata !== undefined) to.added.set(op.digest, metadata);
  }
}

/** The op with the new names of its inputs, which are as long as the old ones: every other byte stays. */
function withInputs(op: EncodedOp, renamed: ReadonlyMap<string, string>, where: string): EncodedOp {
  let copy: Buffer | undefined;
  for (const field of readFields(op.bytes, where)) {
    if (field.number !== opInput) continue;
    const input = bytesOf(field, where);
    for (const inner of readFields(input, where)) {
      if (inner.number !== inputDigest) continue;
      const digest = bytesOf(inner, where);
      const next = renamed.get(Buffer.from(digest).toString("utf8"));
      if (next === undefined) continue;
      if (Buffer.byteLength(next) !== digest.length)
        throw invalidDefinition(`${where} has a digest cut short`);
      copy ??= Buffer.from(op.bytes);
      copy.write(next, digest.byteOffset - op.bytes.byteOffset);
    }
  }
  return copy === undefined ? op : nameOp(copy);
}

function moveMetadata(
  metadata: Definition["metadata"],
  added: Definition["metadata"],
  renamed: ReadonlyMap<string, string>,
  neededCaps: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, OpMetadataFields> {
  const moved = new Map<string, OpMetadataFields>(added);
  for (const [digest, entry] of metadata) {
    const name = renamed.get(digest) ?? digest;
    moved.set(name, mergeMetadata(moved.get(name), entry));
  }
  for (const [digest, ids] of neededCaps) {
    const caps = Object.fromEntries(ids.map((id) => [id, true]));
    moved.set(digest, mergeMetadata(moved.get(digest), { caps }));
  }
  return moved;
}

function moveLocations(source: SourceMapFields, renamed: ReadonlyMap<string, string>): SourceMapFields {
  const moved = new Map<string, readonly SourceLocationFields[]>();
  for (const [digest, value] of Object.entries(source.locations ?? {})) {
    const name = renamed.get(digest) ?? digest;
    moved.set(name, [...(moved.get(name) ?? []), ...(value?.locations ?? [])]);
  }
  const entries = [...moved].map(([digest, locations]) => [digest, { locations }] as const);
  return { ...source, locations: Object.fromEntries(entries) };
}

type SourceLocationFields = NonNullable<
  NonNullable<NonNullable<SourceMapFields["locations"]>[string]>["locations"]
>[number];
