import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FileStat } from "../../../src/fsutil/file-stat.js";
import {
  decodePacket,
  encodeEnd,
  encodeError,
  encodeFinish,
  encodeRequest,
} from "../../../src/fsutil/packet.js";
import { PacketWriter } from "../../../src/fsutil/packet-writer.js";
import { PacketSchema } from "../../../src/gen/fsutil/types/wire_pb.js";

const stats: fc.Arbitrary<FileStat> = fc.record({
  path: fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
  mode: fc.constantFrom(0, 0o644, 0x80000000 + 0o755, 0x08000000 + 0o777, 0x00800000 + 0o755),
  uid: fc.nat(0xffffffff),
  gid: fc.nat(0xffffffff),
  size: fc.maxSafeNat(),
  modTime: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  linkname: fc.string({ unit: "binary", maxLength: 20 }),
  devmajor: fc.nat(4095),
  devminor: fc.nat(2 ** 20),
  xattrs: fc.option(
    fc
      .dictionary(fc.stringMatching(/^user\.[a-z]{0,200}$/), fc.uint8Array({ maxLength: 300 }), {
        minKeys: 1,
        maxKeys: 3,
      })
      .map((values) => new Map(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)))),
    { nil: undefined },
  ),
});

test("a stat is written as a general encoder writes it, and read back", () => {
  const writer = new PacketWriter();
  fc.assert(
    fc.property(stats, (stat) => {
      const bytes = writer.stat(stat);
      const message = create(PacketSchema, {
        stat: {
          ...stat,
          size: BigInt(stat.size),
          devmajor: BigInt(stat.devmajor),
          devminor: BigInt(stat.devminor),
          xattrs: Object.fromEntries(stat.xattrs ?? []),
        },
      });
      expect(Buffer.from(bytes).toString("hex")).toBe(
        Buffer.from(toBinary(PacketSchema, message)).toString("hex"),
      );
      const decoded = decodePacket(bytes);
      if (decoded.kind !== "stat") throw new Error(`decoded as ${decoded.kind}`);
      expect(decoded.stat).toEqual({ ...stat, xattrs: decoded.stat.xattrs });
      expect([...(decoded.stat.xattrs ?? [])].map(([name, value]) => [name, [...value]])).toEqual(
        [...(stat.xattrs ?? [])].map(([name, value]) => [name, [...value]]),
      );
    }),
    { numRuns: 500 },
  );
});

test("a stat larger than the writer's buffer is written whole", () => {
  const xattrs = new Map([["user.x", new Uint8Array(60_000).fill(7)]]);
  const stat: FileStat = {
    ...{ path: "p".repeat(4000), mode: 0, uid: 0, gid: 0, size: 0, modTime: 0n },
    ...{ linkname: "é".repeat(2000), devmajor: 0, devminor: 0, xattrs },
  };
  const packet = decodePacket(new PacketWriter().stat(stat));
  expect(packet).toMatchObject({ kind: "stat", stat: { path: stat.path, linkname: stat.linkname } });
});

test("data is written as a general encoder writes it", () => {
  const writer = new PacketWriter();
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.uint8Array({ maxLength: 1000 }), (ID, data) => {
      const message = create(PacketSchema, { type: 2, ID, data });
      expect([...writer.dataHeader(ID, data.length), ...data]).toEqual([...toBinary(PacketSchema, message)]);
    }),
  );
  expect([...writer.dataHeader(0, 0)]).toEqual([8, 2]);
});

test("an earlier packet is not changed by a later one", () => {
  const writer = new PacketWriter();
  const first = writer.dataHeader(1, 3);
  const copy = Uint8Array.from(first);
  writer.dataHeader(2, 300);
  expect(first).toEqual(Buffer.from(copy));
});

test("the small packets are read back", () => {
  expect(decodePacket(encodeEnd())).toEqual({ kind: "end" });
  expect(decodePacket(encodeRequest(0))).toEqual({ kind: "request", id: 0 });
  expect(decodePacket(encodeRequest(4_000_000_000))).toEqual({ kind: "request", id: 4_000_000_000 });
  expect(decodePacket(encodeFinish())).toEqual({ kind: "finish" });
  expect(decodePacket(encodeError("no space"))).toEqual({ kind: "error", message: "no space" });
});

test("an error text is cut and cannot steer a terminal", () => {
  const packet = decodePacket(encodeError(`\u001b[2J${"x".repeat(10_000)}`));
  if (packet.kind !== "error") throw new Error(`decoded as ${packet.kind}`);
  expect(packet.message).toHaveLength(4096);
  expect(packet.message.startsWith("\ufffd[2J")).toBe(true);
});

describe("what is no packet is refused", () => {
  const raw: readonly (readonly [title: string, bytes: Uint8Array])[] = [
    ["bytes that end too early", Uint8Array.of(0x12, 30, 0x0a)],
    ["a tag that cannot be", Uint8Array.of(0x0f)],
    ["a name that is no UTF-8", Uint8Array.of(0x12, 5, 0x0a, 3, 0x61, 0xff, 0x62)],
    ["an unknown type", Uint8Array.of(8, 9)],
    ["a negative size", toBinary(PacketSchema, create(PacketSchema, { stat: { path: "a", size: -1n } }))],
    [
      "a size beyond reason",
      toBinary(PacketSchema, create(PacketSchema, { stat: { path: "a", size: 2n ** 60n } })),
    ],
    [
      "mode bits that mean nothing",
      toBinary(PacketSchema, create(PacketSchema, { stat: { path: "a", mode: 0x1000 } })),
    ],
  ];
  test.each(raw)("%s", (_title, bytes) => {
    expect(() => decodePacket(bytes)).toThrow(expect.objectContaining({ code: "ERR_KILN_PROTOCOL" }));
  });

  test("and no bytes whatever break anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodePacket(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_KILN_PROTOCOL" });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("the generated decoder agrees on who sent what", () => {
  expect(fromBinary(PacketSchema, Uint8Array.of(...new PacketWriter().dataHeader(3, 1), 1))).toMatchObject({
    type: 2,
    ID: 3,
  });
});
