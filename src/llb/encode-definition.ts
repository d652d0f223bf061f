import type { DefinitionFields, OpMetadataFields, SourceInfoFields, SourceMapFields } from "./op-fields.js";
import {
  createWriter,
  type WireWriter,
  writeBytes,
  writeFlag,
  writeInt32,
  writeInt64,
  writeText,
} from "./wire-writer.js";

/** In which order the entries of a map are written: `sortedKeys`, or `Object.keys` for the order they already have. */
export type KeyOrder = (map: Readonly<Record<string, unknown>>) => readonly string[];

/** Writes the fields of `pb.Definition`; the maps in it in the order that `keys` gives. */
export function encodeDefinitionFields(
  writer: WireWriter,
  definition: DefinitionFields,
  keys: KeyOrder,
): void {
  for (const op of definition.def ?? []) writer.uint32(10).bytes(op);
  const metadata = definition.metadata ?? {};
  for (const digest of keys(metadata)) {
    const entry = metadata[digest];
    if (entry !== undefined) writeMetadataEntry(writer, digest, encodeMetadata(entry, keys));
  }
  if (definition.Source !== undefined) writer.uint32(26).bytes(encodeSourceMaps(definition.Source, keys));
}

/** Writes one entry of a definition's `metadata` map from the encoded value. */
export function writeMetadataEntry(writer: WireWriter, digest: string, value: Uint8Array): void {
  writer.uint32(18).fork();
  writer.uint32(10).string(digest).uint32(18).bytes(value);
  writer.ldelim();
}

/** The bytes of a `pb.OpMetadata`. */
export function encodeMetadata(metadata: OpMetadataFields, keys: KeyOrder): Uint8Array {
  const writer = createWriter();
  encodeMetadataFields(writer, metadata, keys);
  return writer.finish();
}

/** Writes the fields of `pb.OpMetadata`. */
export function encodeMetadataFields(writer: WireWriter, metadata: OpMetadataFields, keys: KeyOrder): void {
  writeFlag(writer, 1, metadata.ignoreCache);
  const description = metadata.description;
  if (description !== undefined) {
    for (const key of keys(description)) {
      writer.uint32(18).fork();
      writer
        .uint32(10)
        .string(key)
        .uint32(18)
        .string(description[key] ?? "");
      writer.ldelim();
    }
  }
  if (metadata.exportCache !== undefined) {
    writer.uint32(34).fork();
    writeFlag(writer, 1, metadata.exportCache.Value);
    writer.ldelim();
  }
  const caps = metadata.caps;
  if (caps !== undefined) {
    for (const key of keys(caps)) {
      writer.uint32(42).fork();
      writer
        .uint32(10)
        .string(key)
        .uint32(16)
        .bool(caps[key] === true);
      writer.ldelim();
    }
  }
  const group = metadata.progressGroup;
  if (group !== undefined) {
    writer.uint32(50).fork();
    writeText(writer, 1, group.id);
    writeText(writer, 2, group.name);
    writeFlag(writer, 3, group.weak);
    writer.ldelim();
  }
  const resources = metadata.linuxResources;
  if (resources !== undefined) {
    writer.uint32(58).fork();
    writeInt64(writer, 1, resources.memory);
    writeInt64(writer, 2, resources.memorySwap);
    writeInt64(writer, 3, resources.cpuShares);
    writeInt64(writer, 4, resources.cpuPeriod);
    writeInt64(writer, 5, resources.cpuQuota);
    writeText(writer, 6, resources.cpusetCpus);
    writeText(writer, 7, resources.cpusetMems);
    writer.ldelim();
  }
}

/** The bytes of a `pb.Source`. */
export function encodeSourceMaps(source: SourceMapFields, keys: KeyOrder): Uint8Array {
  const writer = createWriter();
  const locations = source.locations ?? {};
  for (const digest of keys(locations)) {
    writer.uint32(10).fork();
    writer.uint32(10).string(digest).uint32(18).fork();
    for (const location of locations[digest]?.locations ?? []) {
      writer.uint32(10).fork();
      writeInt32(writer, 1, location.sourceIndex);
      for (const range of location.ranges ?? []) {
        writer.uint32(18).fork();
        writePosition(writer, 1, range.start);
        writePosition(writer, 2, range.end);
        writer.ldelim();
      }
      writer.ldelim();
    }
    writer.ldelim();
    writer.ldelim();
  }
  for (const info of source.infos ?? []) {
    writer.uint32(18).fork();
    writeSourceInfo(writer, info, keys);
    writer.ldelim();
  }
  return writer.finish();
}

function writeSourceInfo(writer: WireWriter, info: SourceInfoFields, keys: KeyOrder): void {
  writeText(writer, 1, info.filename);
  writeBytes(writer, 2, info.data);
  if (info.definition !== undefined) {
    writer.uint32(26).fork();
    encodeDefinitionFields(writer, info.definition, keys);
    writer.ldelim();
  }
  writeText(writer, 4, info.language);
}

function writePosition(
  writer: WireWriter,
  field: number,
  position: { readonly line?: number | undefined; readonly character?: number | undefined } | undefined,
): void {
  if (position === undefined) return;
  writer.uint32(field * 8 + 2).fork();
  writeInt32(writer, 1, position.line);
  writeInt32(writer, 2, position.character);
  writer.ldelim();
}
