import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { OpMetadataSchema, OpSchema, SourceSchema } from "../../../src/gen/pb/ops_pb.js";
import { encodeMetadata, encodeSourceMaps } from "../../../src/llb/encode-definition.js";
import { encodeOp } from "../../../src/llb/encode-op.js";
import type { OpFields } from "../../../src/llb/op-fields.js";
import { inSoak } from "../internal/long-runs.js";
import { map, metadata, op, source, text } from "./op-arbitraries.js";

type OpInit = MessageInitShape<typeof OpSchema>;

test("every op decodes with the generated code to the values that it was encoded from", () => {
  fc.assert(
    fc.property(op, (fields) => {
      const message = create(OpSchema, fields as OpInit);
      const decoded = fromBinary(OpSchema, Uint8Array.from(encodeOp(fields as OpFields)));
      expect(decoded).toEqual(message);
      expect(encodeOp(decoded)).toEqual(encodeOp(fields as OpFields));
    }),
    { numRuns: inSoak(250, 800) },
  );
});

test("an op has the length that the generated encoder gives it: nothing is written twice or left out", () => {
  fc.assert(
    fc.property(op, (fields) => {
      expect(encodeOp(fields as OpFields).length).toBe(
        toBinary(OpSchema, create(OpSchema, fields as OpInit)).length,
      );
    }),
    { numRuns: inSoak(150, 300) },
  );
});

test("metadata decodes to the values that it was encoded from", () => {
  fc.assert(
    fc.property(metadata, (fields) => {
      const encoded = Uint8Array.from(encodeMetadata(fields, Object.keys));
      expect(fromBinary(OpMetadataSchema, encoded)).toEqual(create(OpMetadataSchema, fields));
    }),
  );
});

test("source maps decode to the values that they were encoded from", () => {
  fc.assert(
    fc.property(source, (fields) => {
      const encoded = Uint8Array.from(encodeSourceMaps(fields, Object.keys));
      expect(fromBinary(SourceSchema, encoded)).toEqual(create(SourceSchema, fields));
    }),
  );
});

test("the order of map keys does not change an op", () => {
  fc.assert(
    fc.property(map(text), fc.infiniteStream(fc.nat()), (attrs, random) => {
      const shuffled = Object.entries(attrs)
        .map((entry) => [random.next().value ?? 0, entry] as const)
        .sort(([a], [b]) => a - b)
        .map(([, entry]) => entry);
      const encode = (map: Record<string, string>) =>
        encodeOp({ op: { case: "source", value: { attrs: map } } });
      expect(encode(Object.fromEntries(shuffled))).toEqual(encode(attrs));
    }),
  );
});
