import { expect, test } from "vitest";
import { encodeCacheFilters } from "../../../src/solver/cache-filter.js";

const encode = (...filters: readonly unknown[]): string[] =>
  encodeCacheFilters("prune()", filters as Parameters<typeof encodeCacheFilters>[1]);

test("properties are joined, filters are alternatives", () => {
  expect(encodeCacheFilters("prune()", undefined)).toEqual([]);
  expect(
    encode(
      { type: "exec.cachemount", mutable: true, shared: false },
      { id: "a", inUse: true, mutable: false },
    ),
  ).toEqual(['type=="exec.cachemount",mutable,private', 'id=="a",inuse,immutable']);
});

test("values are quoted, and a parent is sought literally", () => {
  expect(encode({ description: 'a, "b"\\' }, { parent: "a.b" })).toEqual([
    String.raw`description=="a, \"b\"\\"`,
    String.raw`parents~="a\\.b"`,
  ]);
});

test.each([
  ["no property", {}, "ERR_KILN_INVALID_ARGUMENT", /names no property/],
  ["an unknown type", { type: "layer" }, "ERR_KILN_INVALID_ARGUMENT", /"layer"/],
  ["an empty id", { id: "" }, "ERR_KILN_INVALID_ARGUMENT", /id must be a text/],
  ["what cannot be asked", { inUse: false }, "ERR_KILN_INVALID_ARGUMENT", /no negation/],
  ["no boolean", { shared: "yes" }, "ERR_KILN_INVALID_ARGUMENT", /shared must be a boolean/],
  ["an unknown property", { in_use: true }, "ERR_KILN_UNKNOWN_OPTION", /in_use/],
  ["no filter", "type==regular", "ERR_KILN_INVALID_ARGUMENT", /object/],
])("%s is refused", (_, filter, code, message) => {
  expect(() => encode(filter)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});
