import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { compareBytes } from "../../../src/llb/byte-order.js";
import { digestOrder } from "../../../src/llb/digest-order.js";

function sorted(keys: readonly string[]): readonly string[] {
  return digestOrder(keys).map((index) => keys[index] as string);
}

const digests = Array.from({ length: 3000 }, (_, index) => {
  return `sha256:${createHash("sha256").update(`op ${index}`).digest("hex")}`;
});

test("digests come in byte order", () => {
  expect(sorted(digests)).toEqual([...digests].sort(compareBytes));
});

test("digests with the same first 32 bits are told apart by the rest", () => {
  const alike = ["c", "a", "0", "f", "b"].map((digit) => `sha256:ffffffff${digit.repeat(56)}`);
  const lowest = ["2", "1"].map((digit) => `sha256:00000000${digit.repeat(56)}`);
  const keys = [...alike, ...digests.slice(0, 50), ...lowest];
  expect(sorted(keys)).toEqual([...keys].sort(compareBytes));
});

test.each([
  ["upper case", ["sha256:ABCDEF0011", "sha256:abcdef0011", "sha256:0000000011"]],
  ["another algorithm", ["sha512:0011223344", "sha256:0011223344"]],
  ["short", ["sha256:01", "sha256:00ffffffff", ""]],
  ["beyond U+FFFF", ["\u{1f600}", "\uffee", "a"]],
])("keys that are no digests come in byte order too: %s", (_, keys) => {
  expect(sorted(keys)).toEqual([...keys].sort(compareBytes));
});

test("no keys, no places", () => {
  expect(digestOrder([])).toEqual([]);
});
