import { BinaryWriter } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WireWriter } from "../../../src/llb/wire-writer.js";

type Value =
  | { readonly type: "uint32"; readonly value: number }
  | { readonly type: "int32"; readonly value: number }
  | { readonly type: "int64"; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "bytes"; readonly value: Uint8Array }
  | { readonly type: "message"; readonly value: readonly Value[] };

const edges = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1];
const text = fc.oneof(
  fc.constantFrom("", "a".repeat(63), "a".repeat(64), "ä".repeat(63), "€".repeat(5000), "𝒳", "\u0000"),
  fc.string({ unit: "grapheme", maxLength: 100 }),
);
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({
      type: fc.constant("uint32" as const),
      value: fc.oneof(fc.constantFrom(...edges, 2 ** 32 - 1), fc.nat()),
    }),
    fc.record({
      type: fc.constant("int32" as const),
      value: fc.oneof(fc.constantFrom(...edges, -1, -(2 ** 31)), fc.integer()),
    }),
    fc.record({
      type: fc.constant("int64" as const),
      value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    }),
    fc.record({ type: fc.constant("bool" as const), value: fc.boolean() }),
    fc.record({ type: fc.constant("string" as const), value: text }),
    fc.record({ type: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 3000 }) }),
    fc.record({ type: fc.constant("message" as const), value: fc.array(tie("value"), { maxLength: 6 }) }),
  ),
}));

function write(writer: WireWriter | BinaryWriter, values: readonly Value[]): void {
  for (const item of values) {
    if (item.type === "message") {
      const inner = writer.fork();
      write(inner, item.value);
      if (inner instanceof WireWriter) inner.ldelim();
      else inner.join();
    } else if (item.type === "uint32") writer.uint32(item.value);
    else if (item.type === "int32") writer.int32(item.value);
    else if (item.type === "int64") writer.int64(item.value);
    else if (item.type === "bool") writer.bool(item.value);
    else if (item.type === "string") writer.string(item.value);
    else writer.bytes(item.value);
  }
}

function expected(values: readonly Value[]): Buffer {
  const writer = new BinaryWriter();
  write(writer, values);
  return Buffer.from(writer.finish());
}

describe("a writer of protobuf messages", () => {
  it("writes what the generated code's library writes, two messages at once", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 8 }), fc.array(value, { maxLength: 8 }), (one, two) => {
        const [first, second] = [new WireWriter(), new WireWriter()];
        write(first, one);
        write(second, two);
        const bytes = first.finish();
        expect(Buffer.from(second.finish())).toEqual(expected(two));
        // The first one's memory has been used again by now.
        const third = new WireWriter();
        write(third, two);
        expect(Buffer.from(bytes)).toEqual(expected(one));
        expect(Buffer.from(third.finish())).toEqual(expected(two));
      }),
      { numRuns: 200 },
    );
  });

  it("takes integers of 64 bits as numbers where they are exact", () => {
    const numbers = [
      ...edges,
      2 ** 31,
      2 ** 32,
      2 ** 40 + 5,
      Number.MAX_SAFE_INTEGER,
      -1,
      -(2 ** 31),
      -(2 ** 40) - 3,
    ];
    for (const number of numbers) {
      expect(Buffer.from(new WireWriter().int64(number).finish())).toEqual(
        expected([{ type: "int64", value: BigInt(number) }]),
      );
    }
  });

  it("takes unsigned integers of 64 bits", () => {
    expect(Buffer.from(new WireWriter().int64(2n ** 64n - 1n).finish()).toString("hex")).toBe(
      "ffffffffffffffffff01",
    );
  });

  it("begins every message that it ends", () => {
    expect(() => new WireWriter().ldelim()).toThrow("no message was begun");
  });
});
