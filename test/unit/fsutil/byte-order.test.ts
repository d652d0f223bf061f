import fc from "fast-check";
import { expect, test } from "vitest";
import { compareNames, comparePaths } from "../../../src/fsutil/byte-order.js";

const characters = fc.constantFrom(
  "a",
  "b",
  "-",
  ".",
  "é",
  "\ud7ff",
  "\ue000",
  "\uffff",
  "𐀀",
  "😀",
  "\u{10ffff}",
);
const names = fc.array(characters, { maxLength: 6 }).map((parts) => parts.join(""));

test("names compare like their UTF-8 bytes", () => {
  fc.assert(
    fc.property(names, names, (a, b) => {
      expect(Math.sign(compareNames(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
});

test("a non-BMP name comes after U+FFFF, which JavaScript's own order has the other way round", () => {
  expect(["😀", "\uffff", "z"].sort(compareNames)).toEqual(["z", "\uffff", "😀"]);
  expect(["😀", "\uffff", "z"].sort()).toEqual(["z", "😀", "\uffff"]);
});

test("paths compare with the separator lowest, as a walk visits them", () => {
  expect(["a.txt", "a/b", "a", "a-b", "a/b/c", "b"].sort(comparePaths)).toEqual([
    "a",
    "a/b",
    "a/b/c",
    "a-b",
    "a.txt",
    "b",
  ]);
});
