import type { Platform } from "../oci/platform.js";
import { decodeOp } from "./decode-op.js";
import type { Definition } from "./definition.js";
import { encodeOp } from "./encode-op.js";
import type { EncodedOp } from "./encoded-op.js";
import { rawField, rewriteOps } from "./rewrite-ops.js";
import { bytesOf, readFields } from "./wire-reader.js";
import { createWriter } from "./wire-writer.js";

// Field numbers of `pb.Op` and `pb.SourceOp`.
const opSource = 3;
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
 * The definition with other sources. `change` is asked for each one and answers `undefined` to leave it. The rest is as
 * {@link rewriteOps} has it.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read, and what `change` throws.
 */
export function rewriteSources(
  definition: Definition,
  change: (source: DefinitionSource) => SourceChange | undefined,
): Definition {
  return rewriteOps(definition, (op, bytes, where) => {
    const source = sourceOf(op, where);
    const changed = source === undefined ? undefined : change(source);
    return changed && { bytes: withSource(bytes, changed, where), caps: changed.caps };
  });
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
