import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { HuffmanCode } from "../../src/layers/huffman-code.js";
import { type LayerBlob, LayerSink } from "../../src/layers/layer-sink.js";
import { temporaryDirectory } from "../unit/fsutil/temporary-tree.js";
import { randomNumbers } from "../unit/layers/random-numbers.js";

const chunk = 1024 * 1024;

/** Compresses with pieces of so many bytes. */
function gzip(input: Uint8Array, piece = 100_000): { bytes: Buffer; blob: LayerBlob } {
  const path = join(temporaryDirectory(), "blob");
  const descriptor = openSync(path, "w");
  const sink = new LayerSink(descriptor, "gzip");
  for (let at = 0; at < input.length; at += piece) sink.write(input.subarray(at, at + piece));
  const blob = sink.finish();
  closeSync(descriptor);
  return { bytes: readFileSync(path), blob };
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Bytes of many kinds in a row: noise, runs, text, copies of what came before, from near and far. */
function mixture(bytes: number, seed: number): Buffer {
  const random = randomNumbers(seed);
  const out = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) {
    const length = Math.min(bytes - at, 1 + Math.floor(random() * 3000));
    const kind = Math.floor(random() * 4);
    const back = 1 + Math.floor(random() * Math.min(at, 40_000));
    for (let index = at; index < at + length; index += 1) {
      if (kind === 0) out[index] = random() * 256;
      else if (kind === 1) out[index] = length & 0xff;
      else if (kind === 2) out[index] = 97 + Math.floor(random() * random() * 26);
      else out[index] = out[index - back] ?? 0;
    }
    at += length;
  }
  return out;
}

test("what was compressed is what another program unpacks", () => {
  const noise = mixture(70_000, 1);
  const inputs = [
    Buffer.alloc(0),
    Buffer.from("a"),
    Buffer.from("abc"),
    Buffer.from("aaaaa"),
    Buffer.alloc(257, "x"),
    Buffer.alloc(5 * chunk),
    Buffer.alloc(3 * chunk, "0123456789abcdef"),
    Buffer.from(Uint8Array.from({ length: 200_000 }, randomBytes(2))),
    ...[1, 2, 3, 4, 5, 6].map((seed) => mixture(300_000 + seed, seed)),
    // A repetition from the window's very end, and one from just beyond it.
    ...[32 * 1024, 32 * 1024 + 1].map((distance) => Buffer.concat([noise.subarray(0, distance), noise])),
    ...[-1, 0, 1].map((more) => mixture(chunk + more, 7)),
    mixture(3 * chunk, 8),
  ];
  for (const input of inputs) {
    const { bytes, blob } = gzip(input);
    expect(gunzipSync(bytes).equals(input)).toBe(true);
    expect(blob).toEqual({ digest: sha256(bytes), size: bytes.length, diffId: sha256(input) });
  }
});

test("the bytes are the same on every machine and however the input came in pieces", () => {
  const input = mixture(2 * chunk + 12_345, 42);
  expect(sha256(input)).toBe("sha256:ea075aae07258b65334c3edb3e7dca5388d8382671881e8c1e7de5199f7bfd30");
  for (const piece of [input.length, 4096, 777]) {
    expect(gzip(input, piece).blob.digest).toBe(
      "sha256:ff4421779b6fb6be31a6a83142607a82de105a81eeae71f96590477e3e3d5428",
    );
  }
  const { bytes } = gzip(Buffer.from("hello, hello, hello"));
  expect(bytes.toString("hex")).toBe(
    "1f8b08000000000000ffeddd210d00000002b02a04a0161b828dfe0e4b899bd7b09212df009fa1ca0913000000",
  );
});

test("the header names no time and no system", () => {
  expect(gzip(Buffer.from("x")).bytes.subarray(0, 10).toString("hex")).toBe("1f8b08000000000000ff");
});

test("what cannot be compressed grows by no more than the headers of stored blocks", () => {
  const input = Buffer.from(Uint8Array.from({ length: 3 * chunk }, randomBytes(3)));
  expect(gzip(input).blob.size).toBeLessThan(input.length * 1.0005);
});

test("repetitions are found in text, in runs and in what does not compress by itself", () => {
  const text = readFileSync(import.meta.filename);
  expect(gzip(text).blob.size).toBeLessThan(text.length * 0.5);
  expect(gzip(Buffer.alloc(10 * chunk)).blob.size).toBeLessThan(30_000);
  const noise = Buffer.from(Uint8Array.from({ length: 10_000 }, randomBytes(4)));
  expect(gzip(Buffer.concat(Array.from({ length: 20 }, () => noise))).blob.size).toBeLessThan(30_000);
});

test.each([
  ["counts like Fibonacci's, whose best words are too long", 40, fibonacci(40), 15],
  ["the same with words of seven bits", 19, fibonacci(19), 7],
  ["one symbol", 286, [...Array<number>(286).keys()].map((symbol) => (symbol === 256 ? 1 : 0)), 15],
  ["none", 30, Array<number>(30).fill(0), 15],
  ["all alike", 286, Array<number>(286).fill(5), 15],
])("a code is whole, within its limit, and no word begins another: %s", (_title, symbols, counts, limit) => {
  const code = new HuffmanCode(symbols, limit);
  code.build(Uint32Array.from(counts));
  const used = [...code.lengths].flatMap((length, symbol) => (length === 0 ? [] : [{ length, symbol }]));
  const texts = used.map(({ length, symbol }) =>
    [...(code.words[symbol] ?? 0).toString(2).padStart(length, "0")].reverse().join(""),
  );
  expect(Math.max(...code.lengths)).toBeLessThanOrEqual(limit);
  expect(used.reduce((sum, { length }) => sum + 2 ** -length, 0)).toBe(1);
  expect(texts.filter((text) => texts.some((other) => other !== text && other.startsWith(text)))).toEqual([]);
  expect(new Set(texts).size).toBe(texts.length);
  for (const [symbol, count] of counts.entries())
    if (count > 0) expect(code.lengths[symbol]).toBeGreaterThan(0);
});

function fibonacci(length: number): number[] {
  const numbers = [1, 1];
  while (numbers.length < length)
    numbers.push(Math.min(2 ** 21, (numbers.at(-1) ?? 0) + (numbers.at(-2) ?? 0)));
  return numbers;
}

function randomBytes(seed: number): () => number {
  const random = randomNumbers(seed);
  return () => Math.floor(random() * 256);
}
