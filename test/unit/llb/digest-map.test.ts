import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DigestMap } from "../../../src/llb/digest-map.js";

const digestOf = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

describe("the map by digest", () => {
  it("does what a Map does", () => {
    const map = new DigestMap<number>();
    const expected = new Map<string, number>();
    for (let index = 0; index < 5_000; index += 1) {
      const key = digestOf(String(index % 4_000));
      map.set(key, index);
      expected.set(key, index);
    }
    expect(map.size).toBe(4_000);
    expect([...map]).toEqual([...expected]);
    expect([...map.keys()]).toEqual([...expected.keys()]);
    expect([...map.values()]).toEqual([...expected.values()]);
    const seen: [string, number][] = [];
    map.forEach((value, key) => {
      seen.push([key, value]);
    });
    expect(seen).toEqual([...expected]);
    expect(map.get(digestOf("17"))).toBe(4_017);
    expect(map.get(digestOf("5000"))).toBeUndefined();
    expect(map.has(digestOf("3999"))).toBe(true);
    expect(map.has(digestOf("4000"))).toBe(false);
  });

  it("tells keys apart that begin alike, or are no digests", () => {
    const keys = [
      ...Array.from({ length: 300 }, (_, index) => `sha256:00000000${String(index).padStart(56, "0")}`),
      ...["", "sha256:", "sha512:abc", "sha256:XYZXYZXYZ"],
    ];
    const map = new DigestMap<number>();
    for (const [index, key] of keys.entries()) map.set(key, index);
    for (const [index, key] of keys.entries()) expect(map.get(key)).toBe(index);
    expect([...map.keys()]).toEqual(keys);
  });
});
