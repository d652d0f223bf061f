import { expect, test } from "vitest";
import { SpareMemory } from "../../../src/internal/spare-memory.js";

test("a copy is in memory that threads share, and as long as the bytes are", () => {
  const memory = new SpareMemory();
  const copy = memory.copy(Uint8Array.of(1, 2, 3));
  expect(copy.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect([...copy]).toEqual([1, 2, 3]);
  expect(memory.copy(new Uint8Array(0))).toHaveLength(0);
});

test("memory that was given back is used again, and no other", () => {
  const memory = new SpareMemory();
  const [one, two] = [memory.copy(Uint8Array.of(1)), memory.copy(Uint8Array.of(2))];
  expect(two.buffer).not.toBe(one.buffer);
  memory.give(one);
  const three = memory.copy(Uint8Array.of(3, 4));
  expect(three.buffer).toBe(one.buffer);
  expect([...three]).toEqual([3, 4]);
  expect([...two]).toEqual([2]);
  expect(memory.copy(Uint8Array.of(5)).buffer).not.toBe(two.buffer);
});

test("more bytes than there is room for get memory of their own, in place of what was too small", () => {
  const memory = new SpareMemory();
  const small = memory.copy(Uint8Array.of(1));
  memory.give(small);
  const large = memory.copy(new Uint8Array(100_000).fill(7));
  expect(large.buffer).not.toBe(small.buffer);
  expect(large.buffer.byteLength).toBe(128 * 1024);
  memory.give(large);
  expect(memory.copy(new Uint8Array(128 * 1024)).buffer).toBe(large.buffer);
  expect(memory.copy(Uint8Array.of(1)).buffer).not.toBe(small.buffer);
});
