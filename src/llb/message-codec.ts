import type * as pb from "../gen/pb/ops_pb.js";
import { type MessageField, type MessageType, messageType, type ScalarType } from "./message-table.js";
import { tooDeep, ValueReader } from "./value-reader.js";
import { createWriter, putInt64, type WireWriter } from "./wire-writer.js";

/** The messages that are read and written here, as the generated code has them. */
export interface Messages {
  readonly Op: pb.Op;
  readonly OpMetadata: pb.OpMetadata;
  readonly Source: pb.Source;
  readonly ExecOp: pb.ExecOp;
  readonly Mount: pb.Mount;
  readonly SecretOpt: pb.SecretOpt;
  readonly SecretEnv: pb.SecretEnv;
  readonly CDIDevice: pb.CDIDevice;
}

/** A field that the table does not know, as the generated code keeps it. */
interface UnknownField {
  readonly no: number;
  readonly wireType: number;
  readonly data: Uint8Array;
}

type Message = { $unknown?: UnknownField[] | undefined } & Record<string, unknown>;

/** How deep messages may lie in one another: as deep as the generated code reads them. */
const deepest = 100;

/** A message with these fields, all others empty. */
export function createMessage<Name extends keyof Messages>(
  name: Name,
  fields: Partial<Messages[Name]> = {},
): Messages[Name] {
  // The table has the fields of the generated types: a test compares them.
  return Object.assign(emptyMessage(messageType(name)), fields) as unknown as Messages[Name];
}

/**
 * The message in some bytes: equal to what the generated code reads, with the fields that it does not know.
 *
 * Throws a `RangeError` or `TypeError` for bytes that are no such message.
 */
export function decodeMessage<Name extends keyof Messages>(name: Name, bytes: Uint8Array): Messages[Name] {
  const message = emptyMessage(messageType(name));
  readFields(new ValueReader(bytes), messageType(name), message, deepest - 1);
  return message as unknown as Messages[Name];
}

/** The bytes of a message: fields in the order of their numbers, maps in their own, unknown fields last. */
export function encodeMessage<Name extends keyof Messages>(name: Name, message: Messages[Name]): Uint8Array {
  return bytesOf(messageType(name), message as unknown as Message);
}

function emptyMessage({ typeName, fields }: MessageType): Message {
  const message: Message = { $typeName: typeName };
  for (const field of fields) {
    const { property } = field;
    if (field.oneofCase !== undefined) message[property] = { case: undefined };
    else if (field.shape === "list") message[property] = [];
    else if (field.shape === "map") message[property] = {};
    // Like the generated code: a message that is not there has no property.
    else if (typeof field.type === "string") message[property] = emptyScalar(field.type);
  }
  return message;
}

function emptyScalar(type: ScalarType): unknown {
  switch (type) {
    case "string":
      return "";
    case "bytes":
      return new Uint8Array();
    case "bool":
      return false;
    case "int32":
    case "uint32":
      return 0;
    case "int64":
    case "uint64":
      return 0n;
  }
}

function readFields(reader: ValueReader, type: MessageType, message: Message, depth: number): void {
  if (depth < 0) throw tooDeep();
  while (reader.hasMore) {
    const tag = reader.tag();
    const field = type.byNumber.get(tag >>> 3);
    const read = field !== undefined && readField(reader, field, tag & 7, { message, depth });
    if (read) continue;
    message.$unknown ??= [];
    message.$unknown.push({ no: tag >>> 3, wireType: tag & 7, data: reader.skip(tag, depth) });
  }
}

/** Reads a field's value; `false` if its wire type is another than the field's. */
function readField(
  reader: ValueReader,
  field: MessageField,
  wireType: number,
  to: { readonly message: Message; readonly depth: number },
): boolean {
  const { property, oneofCase, shape, type } = field;
  const { message, depth } = to;
  const packed = shape === "list" && wireType === 2 && isNumber(type);
  if (!packed && wireType !== (shape === "map" ? 2 : wireTypeOf(type))) return false;
  if (shape === "map") {
    readEntry(reader, type, message[property] as Record<string, unknown>, depth);
  } else if (shape === "list") {
    const list = message[property] as unknown[];
    if (packed) {
      reader.within(() => {
        while (reader.hasMore) list.push(readValue(reader, type, undefined, depth));
      });
    } else list.push(readValue(reader, type, undefined, depth));
  } else if (oneofCase === undefined) {
    message[property] = readValue(reader, type, message[property], depth);
  } else {
    const before = message[property] as { readonly case?: string; readonly value?: unknown };
    const merged = before.case === oneofCase ? before.value : undefined;
    message[property] = { case: oneofCase, value: readValue(reader, type, merged, depth) };
  }
  return true;
}

function readEntry(
  reader: ValueReader,
  type: MessageField["type"],
  map: Record<string, unknown>,
  depth: number,
): void {
  let key = "";
  let value: unknown;
  reader.within(() => {
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 10) key = reader.string();
      else if (tag === 16 + wireTypeOf(type)) value = readValue(reader, type, value, depth);
      else reader.skip(tag, depth);
    }
  });
  value ??= typeof type === "string" ? emptyScalar(type) : emptyMessage(messageType(type.message));
  // `__proto__` is a key like any other.
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Reads one value. A message that comes in several pieces is the pieces one after another. */
function readValue(reader: ValueReader, type: MessageField["type"], before: unknown, depth: number): unknown {
  if (typeof type !== "string") {
    const inner = messageType(type.message);
    const message = (before as Message | undefined) ?? emptyMessage(inner);
    reader.within(() => readFields(reader, inner, message, depth - 1));
    return message;
  }
  switch (type) {
    case "string":
      return reader.string();
    case "bytes":
      return reader.bytes();
    case "bool":
      return reader.bool();
    case "int32":
      return reader.uint32() | 0;
    case "uint32":
      return reader.uint32();
    case "int64":
      return BigInt.asIntN(64, reader.uint64());
    case "uint64":
      return reader.uint64();
  }
}

function bytesOf({ fields }: MessageType, message: Message): Uint8Array {
  const writer = createWriter();
  for (const field of fields) writeField(writer, field, message[field.property]);
  const known = writer.finish();
  if (message.$unknown === undefined) return known;
  const unknown = message.$unknown.flatMap(({ no, wireType, data }) => [
    createWriter()
      .uint32(no * 8 + wireType)
      .finish(),
    data,
  ]);
  return Buffer.concat([known, ...unknown]);
}

function writeField(writer: WireWriter, field: MessageField, value: unknown): void {
  const { number, oneofCase, shape, type } = field;
  if (shape === "map") {
    for (const [key, item] of Object.entries(value as Record<string, unknown>)) {
      writer.uint32(number * 8 + 2).fork();
      writer.uint32(10).string(key);
      writeValue(writer, 2, type, item);
      writer.ldelim();
    }
  } else if (shape === "list") {
    const list = value as readonly unknown[];
    if (!isNumber(type)) for (const item of list) writeValue(writer, number, type, item);
    else if (list.length > 0) {
      writer.uint32(number * 8 + 2).fork();
      for (const item of list) writeScalar(writer, type, item);
      writer.ldelim();
    }
  } else if (oneofCase !== undefined) {
    const chosen = value as { readonly case?: string; readonly value?: unknown };
    if (chosen.case === oneofCase) writeValue(writer, number, type, chosen.value);
  } else if (!isEmpty(value)) writeValue(writer, number, type, value);
}

function writeValue(writer: WireWriter, number: number, type: MessageField["type"], value: unknown): void {
  writer.uint32(number * 8 + wireTypeOf(type));
  if (typeof type === "string") writeScalar(writer, type, value);
  else writer.bytes(bytesOf(messageType(type.message), value as Message));
}

function writeScalar(writer: WireWriter, type: ScalarType, value: unknown): void {
  switch (type) {
    case "string":
      writer.string(value as string);
      break;
    case "bytes":
      writer.bytes(value as Uint8Array);
      break;
    case "bool":
      writer.bool(value as boolean);
      break;
    case "int32":
      writer.int32(value as number);
      break;
    case "uint32":
      writer.uint32(value as number);
      break;
    case "int64":
    case "uint64":
      putInt64(writer, value as bigint);
  }
}

function wireTypeOf(type: MessageField["type"]): 0 | 2 {
  return isNumber(type) ? 0 : 2;
}

/** Whether a value is a varint on the wire: lists of those come in one piece. */
function isNumber(type: MessageField["type"]): type is Exclude<ScalarType, "string" | "bytes"> {
  return typeof type === "string" && type !== "string" && type !== "bytes";
}

/** Whether a value is left out: a message that is there is written even if nothing is in it. */
function isEmpty(value: unknown): boolean {
  return value instanceof Uint8Array
    ? value.length === 0
    : value === undefined || value === "" || value === false || value === 0 || value === 0n;
}
