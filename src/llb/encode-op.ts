import type * as pb from "../gen/pb/ops_pb.js";
import { sortedKeys } from "./byte-order.js";
import { encodeDefinitionFields } from "./encode-definition.js";
import { encodeExec } from "./encode-exec.js";
import { encodeFile } from "./encode-file.js";
import type { Fields, Int64, OpFields, PlatformFields } from "./op-fields.js";
import { createWriter, putInt64, type WireWriter, writeInt64, writeText, writeTexts } from "./wire-writer.js";

/**
 * The bytes of an op as Go's protobuf library writes them deterministically, which is what its digest is taken of:
 * fields by number with the `op` oneof after all others, map entries by key, packed numbers.
 */
export function encodeOp(op: OpFields): Uint8Array {
  const writer = createWriter();
  writeOp(writer, op);
  return writer.finish();
}

/** Writes the fields of `pb.Op`, see {@link encodeOp}. */
export function writeOp(writer: WireWriter, op: OpFields): void {
  for (const input of op.inputs ?? []) {
    writer.uint32(10).fork();
    writeText(writer, 1, input.digest);
    writeInt64(writer, 2, input.index);
    writer.ldelim();
  }
  if (op.platform !== undefined) encodePlatform(writer, op.platform);
  if (op.constraints !== undefined) {
    writer.uint32(90).fork();
    writeTexts(writer, 1, op.constraints.filter);
    writer.ldelim();
  }
  encodeKind(writer, op);
}

function encodeKind(writer: WireWriter, op: OpFields): void {
  const kind = op.op;
  switch (kind?.case) {
    case "exec":
      writer.uint32(18).fork();
      encodeExec(writer, kind.value);
      writer.ldelim();
      break;
    case "source":
      writer.uint32(26).fork();
      writeText(writer, 1, kind.value.identifier);
      encodeTextMap(writer, 2, kind.value.attrs);
      writer.ldelim();
      break;
    case "file":
      writer.uint32(34).fork();
      encodeFile(writer, kind.value);
      writer.ldelim();
      break;
    case "build":
      writer.uint32(42).fork();
      encodeBuild(writer, kind.value);
      writer.ldelim();
      break;
    case "merge":
      writer.uint32(50).fork();
      for (const input of kind.value.inputs ?? []) encodeIndex(writer, 1, input);
      writer.ldelim();
      break;
    case "diff":
      writer.uint32(58).fork();
      if (kind.value.lower !== undefined) encodeIndex(writer, 1, kind.value.lower);
      if (kind.value.upper !== undefined) encodeIndex(writer, 2, kind.value.upper);
      writer.ldelim();
      break;
    case "passthrough":
      writer.uint32(66).fork();
      writeText(writer, 1, kind.value.id);
      encodeOutputs(writer, kind.value.outputs ?? []);
      writer.ldelim();
      break;
    default:
  }
}

function encodePlatform(writer: WireWriter, platform: PlatformFields): void {
  writer.uint32(82).fork();
  writeText(writer, 1, platform.Architecture);
  writeText(writer, 2, platform.OS);
  writeText(writer, 3, platform.Variant);
  writeText(writer, 4, platform.OSVersion);
  writeTexts(writer, 5, platform.OSFeatures);
  writer.ldelim();
}

function encodeOutputs(writer: WireWriter, outputs: readonly Int64[]): void {
  if (outputs.length === 0) return;
  writer.uint32(18).fork();
  for (const output of outputs) putInt64(writer, output);
  writer.ldelim();
}

function encodeBuild(writer: WireWriter, build: Fields<pb.BuildOp>): void {
  writeInt64(writer, 1, build.builder);
  const inputs = build.inputs ?? {};
  for (const key of sortedKeys(inputs)) {
    writer.uint32(18).fork();
    writer.uint32(10).string(key);
    encodeIndex(writer, 2, inputs[key] ?? {});
    writer.ldelim();
  }
  if (build.def !== undefined) {
    writer.uint32(26).fork();
    encodeDefinitionFields(writer, build.def, sortedKeys);
    writer.ldelim();
  }
  encodeTextMap(writer, 4, build.attrs);
}

function encodeIndex(
  writer: WireWriter,
  field: number,
  message: { readonly input?: Int64 | undefined },
): void {
  writer.uint32(field * 8 + 2).fork();
  writeInt64(writer, 1, message.input);
  writer.ldelim();
}

function encodeTextMap(
  writer: WireWriter,
  field: number,
  map: { readonly [key: string]: string | undefined } | undefined,
): void {
  if (map === undefined) return;
  for (const key of sortedKeys(map)) {
    // Both fields of an entry are written even where they are empty.
    writer.uint32(field * 8 + 2).fork();
    writer
      .uint32(10)
      .string(key)
      .uint32(18)
      .string(map[key] ?? "");
    writer.ldelim();
  }
}
