import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  ScalarType,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DefinitionSchema,
  ExecOpSchema,
  file_pb_ops,
  type Op,
  OpMetadataSchema,
  OpSchema,
  SourceSchema,
} from "../../../src/gen/pb/ops_pb.js";
import { decodeMetadata, decodeOp, decodeSourceMaps } from "../../../src/llb/decode-op.js";
import { encodeOp } from "../../../src/llb/encode-op.js";
import { image, local, marshal, sourceMap } from "../../../src/llb/index.js";
import { decodeMessage, encodeMessage } from "../../../src/llb/message-codec.js";
import { messageNames, messageType } from "../../../src/llb/message-table.js";
import { exec, metadata, op, source } from "./op-arbitraries.js";

type OpInit = MessageInitShape<typeof OpSchema>;

/** A field as the table has it. */
function inTableForm(field: DescField) {
  const typeOf = (message: DescMessage | undefined, scalar: ScalarType | undefined) =>
    message === undefined
      ? (ScalarType[scalar ?? ScalarType.INT32] ?? "").toLowerCase()
      : { message: message.name };
  return {
    number: field.number,
    property: field.oneof?.localName ?? field.localName,
    oneofCase: field.oneof && field.localName,
    shape: field.fieldKind === "list" || field.fieldKind === "map" ? field.fieldKind : "one",
    type: typeOf(field.message, field.scalar),
  };
}

describe("the table of messages", () => {
  it("has every message and field of the interface definition", () => {
    expect(new Set(messageNames())).toEqual(new Set(file_pb_ops.messages.map(({ name }) => name)));
    for (const { name, typeName, fields } of file_pb_ops.messages) {
      const type = messageType(name);
      expect(type.typeName).toBe(typeName);
      expect(type.fields).toEqual(fields.map(inTableForm).sort((a, b) => a.number - b.number));
    }
  });

  it("has maps by text alone", () => {
    const keys = file_pb_ops.messages.flatMap(({ fields }) =>
      fields.flatMap((field) => (field.fieldKind === "map" ? [field.mapKey] : [])),
    );
    expect(new Set(keys)).toEqual(new Set([ScalarType.STRING]));
  });
});

describe("decoding", () => {
  it("gives what the generated code gives", () => {
    fc.assert(
      fc.property(op, metadata, source, (fields, entry, maps) => {
        const bytes = toBinary(OpSchema, create(OpSchema, fields as OpInit));
        expect(decodeOp(bytes)).toStrictEqual(fromBinary(OpSchema, bytes));
        const entryBytes = toBinary(OpMetadataSchema, create(OpMetadataSchema, entry));
        expect(decodeMetadata(entryBytes, "it")).toStrictEqual(fromBinary(OpMetadataSchema, entryBytes));
        const mapBytes = toBinary(SourceSchema, create(SourceSchema, maps));
        expect(decodeSourceMaps(mapBytes, "it")).toStrictEqual(fromBinary(SourceSchema, mapBytes));
      }),
      { numRuns: 100 },
    );
  });

  it("keeps unknown fields, merges messages in pieces, takes the last of a kind, and unpacked numbers", () => {
    const input = (digest: string) => [0x0a, digest.length + 2, 0x0a, digest.length, ...Buffer.from(digest)];
    const cases: readonly (readonly number[])[] = [
      // Fields 100 and 101 of each wire type, among known ones.
      [
        ...input("a"),
        0xa0,
        6,
        0x96,
        1,
        0xa1,
        6,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        0xa2,
        6,
        2,
        8,
        9,
        0xa5,
        6,
        1,
        2,
        3,
        4,
      ],
      [0xa3, 6, 0xa8, 6, 1, 0xab, 6, 0xac, 6, 0xa4, 6, ...input("b")],
      // platform {OS: "x"} and platform {Variant: "y"}.
      [0x52, 3, 0x12, 1, 0x78, 0x52, 3, 0x1a, 1, 0x79],
      // merge, then source twice.
      [0x32, 0, 0x1a, 3, 0x0a, 1, 0x61, 0x1a, 8, 0x12, 6, 0x0a, 1, 0x6b, 0x12, 1, 0x76],
      // passthrough with outputs 1, [2, -1], 3; exec.meta with unpacked exit codes.
      [0x42, 17, 0x10, 1, 0x12, 11, 2, ...Array.from({ length: 9 }, () => 0xff), 1, 0x10, 3],
      [0x12, 6, 0x0a, 4, 0x60, 1, 0x60, 2],
      // A map entry without a key, one without a value, and the key `__proto__`.
      [0x1a, 17, 0x12, 0, 0x12, 13, 0x0a, 9, ...Buffer.from("__proto__"), 0x12, 0],
      // A varint of more bytes than its value needs.
      [0x0a, 7, 0x10, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00],
    ];
    for (const bytes of cases.map((values) => Uint8Array.from(values))) {
      expect(decodeOp(bytes)).toStrictEqual(fromBinary(OpSchema, bytes));
    }
  });

  it("keeps a field of another wire type than its own as an unknown one, as Go does", () => {
    const message = decodeOp(Uint8Array.from([0x08, 1])) as Op;
    expect(message.inputs).toEqual([]);
    expect(message.$unknown).toEqual([{ no: 1, wireType: 0, data: Uint8Array.of(1) }]);
  });

  it.each([
    ["a field cut off", [0x0a, 5, 1]],
    ["a number cut off", [0x0a, 2, 0x10, 0x80]],
    ["a field that reaches beyond its message", [0x0a, 2, 0x0a, 5, 1, 2, 3, 4, 5]],
    ["a length of 2^63", [0x0a, ...Array.from({ length: 9 }, () => 0xff), 1]],
    ["a number of eleven bytes", [0x0a, 12, 0x10, ...Array.from({ length: 10 }, () => 0x80), 1]],
    ["field 0", [0x02, 0]],
    ["wire type 6", [0x0e]],
    ["a group that is not closed", [0xa3, 6]],
    ["a group that another one closes", [0xa3, 6, 0xac, 6]],
    ["the end of no group", [0xa4, 6]],
    ["an unknown field cut off", [0xa5, 6, 1]],
    ["text that is no UTF-8", [0x0a, 3, 0x0a, 1, 0xff]],
    ["groups in groups without end", Array.from({ length: 400 }, (_, index) => (index % 2 === 0 ? 0xa3 : 6))],
  ])("refuses %s", (_, values) => {
    const bytes = Uint8Array.from(values);
    expect(() => decodeOp(bytes, "op 7")).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_INVALID_DEFINITION",
        message: expect.stringContaining("op 7 cannot be read: "),
      }),
    );
  });

  it("never fails in another way, whatever the bytes", () => {
    fc.assert(
      fc.property(op, fc.nat(), fc.integer({ min: 0, max: 255 }), (fields, place, value) => {
        const bytes = encodeOp(fields as Parameters<typeof encodeOp>[0]);
        if (bytes.length > 0) bytes[place % bytes.length] = value;
        try {
          decodeOp(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_KILN_INVALID_DEFINITION" });
        }
      }),
      { numRuns: 200 },
    );
  });

  it("takes a replacement character that is really in a text", () => {
    const bytes = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: "\ufeffa\ufffd" }] }));
    expect(decodeOp(bytes).inputs[0]?.digest).toBe("\ufeffa\ufffd");
  });
});

describe("encoding", () => {
  it("gives the generated code's bytes", () => {
    fc.assert(
      fc.property(exec, op, metadata, source, (command, fields, entry, maps) => {
        const message = create(ExecOpSchema, command as MessageInitShape<typeof ExecOpSchema>);
        expect(Buffer.from(encodeMessage("ExecOp", message))).toEqual(
          Buffer.from(toBinary(ExecOpSchema, message)),
        );
        for (const [name, schema, init] of [
          ["Op", OpSchema, fields],
          ["OpMetadata", OpMetadataSchema, entry],
          ["Source", SourceSchema, maps],
        ] as const) {
          const bytes = toBinary(schema, create(schema, init as never));
          expect(Buffer.from(encodeMessage(name, decodeMessage(name, bytes)))).toEqual(Buffer.from(bytes));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("keeps unknown fields, behind those that it knows", () => {
    const bytes = Uint8Array.from([0xa2, 6, 1, 7, 0x18, 2, 0x12, 5, 0xa0, 6, 5, 0x28, 1]);
    expect(Buffer.from(encodeMessage("ExecOp", decodeMessage("ExecOp", bytes)))).toEqual(
      Buffer.from(toBinary(ExecOpSchema, fromBinary(ExecOpSchema, bytes))),
    );
  });
});

describe("a definition as a message", () => {
  it("is what the generated code reads in its bytes", () => {
    const map = sourceMap("build.ts", { data: "text", state: local("code", { sessionId: "s" }) });
    const state = image("alpine")
      .run(["true"], { location: { sourceMap: map, ranges: [] } })
      .root();
    const definition = marshal(state, { linuxResources: { cpuShares: 3 } });
    const bytes = Uint8Array.from(definition.toBinary());
    expect(definition.source).toBeDefined();
    const message = definition.toMessage();
    expect(toJson(DefinitionSchema, message)).toEqual(
      toJson(DefinitionSchema, fromBinary(DefinitionSchema, bytes)),
    );
    expect(toBinary(DefinitionSchema, message)).toHaveLength(bytes.length);
  });
});
