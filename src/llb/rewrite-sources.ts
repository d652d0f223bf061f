import type { Platform } from "../oci/platform.js";
import { decodeOp, invalidDefinition } from "./decode-op.js";
import type { Definition } from "./definition.js";
import { encodeOp } from "./encode-op.js";
import { type EncodedOp, nameOp } from "./encoded-op.js";
import type { OpMetadataFields, SourceMapFields } from "./op-fields.js";
import { mergeMetadata } from "./op-metadata.js";
import { bytesOf, readFields, type WireField } from "./wire-reader.js";
import { createWriter } from "./wire-writer.js";

// Field numbers of `pb.Op`, `pb.Input` and `pb.SourceOp`.
const opInput = 1;
const opSource = 3;
const inputDigest = 1;
const lastSourceField = 2;

/** A source of a definition: an op that takes content from outside. */
export interface DefinitionSource {
  readonly op: EncodedOp;
  /** E.g. `docker-image://docker.io/library/alpine:3.20`. */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Of sources that depend on one: images. */
  readonly platform: Platform | undefined;
}

/** What a source becomes. */
export interface SourceChange {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Ids of capabilities that it needs beside those that it already asks for. */
  readonly caps: readonly string[];
}

/**
 * The sources of a definition, in its order. Those of frontends and of graphs that steps make are not known before they
 * run.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read.
 */
export function sourcesOf(definition: Definition): readonly DefinitionSource[] {
  return definition.ops.flatMap((op, index) => sourceOf(op, `op ${index}`) ?? []);
}

/**
 * The definition with other sources. `change` is asked for each one and answers `undefined` to leave it.
 *
 * The ops that depend on a changed one get new digests and keep every other byte; metadata and source locations move
 * with them. Two ops that become the same are one op. Returns the same definition if nothing changes. Takes time in
 * proportion to the number of ops.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read, and what `change` throws.
 */
export function rewriteSources(
  definition: Definition,
  change: (source: DefinitionSource) => SourceChange | undefined,
): Definition {
  const renamed = new Map<string, string>();
  const neededCaps = new Map<string, readonly string[]>();
  const ops: EncodedOp[] = [];
  const present = new Set<string>();
  for (const [index, op] of definition.ops.entries()) {
    const where = `op ${index}`;
    const source = sourceOf(op, where);
    const changed = source === undefined ? undefined : change(source);
    let next = op;
    if (changed !== undefined) {
      next = nameOp(withSource(op.bytes, changed, where));
      if (changed.caps.length > 0) neededCaps.set(next.digest, changed.caps);
    } else if (renamed.size > 0) {
      next = withInputs(op, renamed, where);
    }
    if (next.digest !== op.digest) renamed.set(op.digest, next.digest);
    // The last op is the graph's result, whatever it is equal to.
    if (present.has(next.digest) && index < definition.ops.length - 1) continue;
    present.add(next.digest);
    ops.push(next);
  }
  if (renamed.size === 0) return definition;
  return definition.withOps(
    {
      ops,
      metadata: moveMetadata(definition.metadata, renamed, neededCaps),
      source: definition.source && moveLocations(definition.source, renamed),
    },
    renamed,
  );
}

function sourceOf(op: EncodedOp, where: string): DefinitionSource | undefined {
  if (!readFields(op.bytes, where).some(({ number }) => number === opSource)) return undefined;
  const message = decodeOp(op.bytes, where);
  if (message.op.case !== "source") return undefined;
  const { identifier, attrs } = message.op.value;
  if (message.platform === undefined) return { op, identifier, attrs, platform: undefined };
  const { OS: os, Architecture: architecture, Variant: variant, OSVersion, OSFeatures } = message.platform;
  const osVersion = OSVersion === "" ? undefined : OSVersion;
  const osFeatures = OSFeatures.length === 0 ? undefined : OSFeatures;
  return { op, identifier, attrs, platform: { os, architecture, variant, osVersion, osFeatures } };
}

/** The op's bytes with another source; fields that this code does not know stay. */
function withSource(bytes: Uint8Array, { identifier, attrs }: SourceChange, where: string): Uint8Array {
  const fields = readFields(bytes, where);
  const old = fields.filter(({ number }) => number === opSource);
  const known = encodeOp({ op: { case: "source", value: { identifier, attrs } } });
  const [content] = readFields(known, where);
  const unknown = old.flatMap((field) => {
    const message = bytesOf(field, where);
    const inner = readFields(message, where);
    return inner.flatMap(({ number }, index) =>
      number > lastSourceField ? [rawField(message, inner, index)] : [],
    );
  });
  const body = Buffer.concat([content?.bytes ?? new Uint8Array(), ...unknown]);
  const field = createWriter()
    .uint32(opSource * 8 + 2)
    .bytes(body)
    .finish();
  // A message that comes in several pieces is the pieces one after another: the first gets all of it.
  const first = fields.findIndex(({ number }) => number === opSource);
  return Buffer.concat(
    fields.flatMap(({ number }, index) => {
      if (index === first) return [field];
      return number === opSource ? [] : [rawField(bytes, fields, index)];
    }),
  );
}

function rawField(message: Uint8Array, fields: readonly WireField[], index: number): Uint8Array {
  return message.subarray(fields[index]?.offset, fields[index + 1]?.offset);
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
  renamed: ReadonlyMap<string, string>,
  neededCaps: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, OpMetadataFields> {
  const moved = new Map<string, OpMetadataFields>();
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
