import { describe, expect, it } from "vitest";
import { fromJsonData, toJsonData } from "../../../src/internal/rich-json.js";

function throughText(value: unknown): unknown {
  return fromJsonData(JSON.parse(JSON.stringify(toJsonData(value))));
}

describe("values as JSON data", () => {
  it.each([
    ["what JSON has", { a: [1, "x", true, null, { b: {} }], "": [] }],
    ["undefined, in objects and lists", { digest: undefined, list: [undefined, 1] }],
    ["undefined itself", undefined],
    ["numbers that JSON has not", [Number.NaN, Infinity, -Infinity, -0, 5e-324]],
    ["bigints", [0n, -1n, 123456789012345678901234567890n]],
    ["dates", [new Date(0), new Date("2026-02-03T04:05:06.789Z"), new Date(Number.NaN)]],
    ["bytes", new Uint8Array([0, 255, 10])],
    [
      "maps and sets",
      new Map<unknown, unknown>([
        ["a", new Set([1n])],
        [{ k: 1 }, undefined],
      ]),
    ],
    ["an object that looks like a tagged value", { $: ["bigint", "1"], more: { $: undefined } }],
    ["a key that objects have by themselves", JSON.parse('{"__proto__": {"a": 1}, "constructor": 1}')],
    ["half a character", "\ud800"],
  ])("come back as they were: %s", (_title, value) => {
    expect(throughText(value)).toStrictEqual(value);
  });

  it.each([
    ["a function", { f: () => 1 }],
    ["a symbol", [Symbol("s")]],
    ["an instance of a class", new URL("http://localhost/")],
    ["an error", new Error("no")],
  ])("are refused: %s", (_title, value) => {
    expect(() => toJsonData(value)).toThrow(TypeError);
  });

  it("are refused when they are a circle, or nested without end", () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => toJsonData(circle)).toThrow(/100 deep/);
    const deep: unknown = JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`);
    expect(() => fromJsonData(deep)).toThrow(/100 deep/);
  });

  it.each([
    '{"$": 1}',
    '{"$": ["regexp", "x"]}',
    '{"$": ["bigint", "0x1"]}',
    '{"$": ["bigint"]}',
    '{"$": ["map", [[1, 2, 3]]]}',
    '{"$": ["set", "x"]}',
    '{"$": ["object", [[1, 2]]]}',
  ])("are not made of other data: %s", (text) => {
    expect(() => fromJsonData(JSON.parse(text))).toThrow(TypeError);
  });
});
