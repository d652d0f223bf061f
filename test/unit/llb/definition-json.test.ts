import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KilnError } from "../../../src/errors.js";
import {
  decodeDefinition,
  definitionFromJson,
  definitionToJson,
  fromDefinition,
  toDot,
  toText,
} from "../../../src/llb/index.js";
import { inSoak } from "../internal/long-runs.js";

interface Vector {
  readonly name: string;
  readonly definition: string;
}

const vectors = ["llb-vectors", "llb-rules"].flatMap(
  (name) =>
    JSON.parse(
      readFileSync(new URL(`../../conformance/vectors/${name}.json`, import.meta.url), "utf8"),
    ) as Vector[],
);
const definitions = vectors.map(({ definition }) => new Uint8Array(Buffer.from(definition, "base64")));

/** Through text, as between two programs. */
function roundTrip(bytes: Uint8Array): Uint8Array {
  return definitionFromJson(JSON.parse(JSON.stringify(definitionToJson(bytes))));
}

function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.from([number * 8 + 2, ...length, ...bytes]);
}

const terminal = field(1, field(1, field(1, "sha256:x")));

const foreign: readonly (readonly [
  title: string,
  bytes: Uint8Array,
  raw: "none" | "op" | "entry" | "all",
])[] = [
  ["an empty definition", new Uint8Array(), "none"],
  ["an op without fields", field(1, ""), "none"],
  [
    "an op whose kind comes before its platform",
    field(1, Buffer.concat([field(3, ""), field(10, "")])),
    "op",
  ],
  ["an op with an unknown field", field(1, Buffer.concat([field(3, ""), field(99 - 84, "new")])), "op"],
  ["an op with an explicit zero", field(1, field(1, Buffer.from([16, 0]))), "op"],
  ["an op with a number in more bytes than needed", field(1, field(1, Buffer.from([16, 0x81, 0]))), "op"],
  ["an op with two kinds", field(1, Buffer.concat([field(3, ""), field(6, "")])), "op"],
  [
    "an op with attributes out of order",
    field(1, field(3, Buffer.concat([attr(2, "b", "1"), attr(2, "a", "2")]))),
    "op",
  ],
  [
    "an op with an attribute twice",
    field(1, field(3, Buffer.concat([attr(2, "a", "1"), attr(2, "a", "2")]))),
    "op",
  ],
  [
    "an op with attributes that look like numbers",
    field(1, field(3, Buffer.concat([attr(2, "10", "1"), attr(2, "9", "2")]))),
    "none",
  ],
  ["an op with an attribute __proto__", field(1, field(3, attr(2, "__proto__", "1"))), "none"],
  ["metadata in no order", Buffer.concat([attr(2, "b", ""), attr(2, "a", "")]), "none"],
  ["metadata of one op twice", Buffer.concat([attr(2, "a", ""), attr(2, "a", "")]), "all"],
  ["metadata whose keys look like numbers", Buffer.concat([attr(2, "9", ""), attr(2, "10", "")]), "none"],
  [
    "metadata whose keys look like numbers, out of order",
    Buffer.concat([attr(2, "10", ""), attr(2, "9", "")]),
    "all",
  ],
  ["metadata with a key __proto__", attr(2, "__proto__", ""), "none"],
  ["metadata with an unknown field", attr(2, "a", field(14, "new")), "entry"],
  ["metadata with its value before its key", field(2, Buffer.concat([field(2, ""), field(1, "a")])), "all"],
  ["metadata without a value", field(2, field(1, "a")), "all"],
  ["metadata before the ops", Buffer.concat([attr(2, "a", ""), terminal]), "all"],
  ["source maps in two pieces", Buffer.concat([field(3, field(2, "")), field(3, field(2, ""))]), "all"],
  ["source maps with an unknown field", field(3, field(14, "new")), "entry"],
  ["an unknown field beside the ops", Buffer.concat([terminal, field(14, "new")]), "all"],
  ["an unknown number beside the ops", Buffer.concat([terminal, Buffer.from([14 * 8, 5])]), "all"],
];

/** A definition whose source maps hold a definition, and so on. */
function nested(depth: number): Buffer {
  let bytes: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1) bytes = long(3, long(2, long(3, bytes)));
  return bytes;
}

function long(number: number, content: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = content.length; rest > 0 || length.length === 0; rest >>= 7)
    length.push((rest & 127) | 128);
  length.push((length.pop() ?? 0) & 127);
  return Buffer.from([number * 8 + 2, ...length, ...content]);
}

function attr(number: number, key: string, value: Uint8Array | string): Buffer {
  return field(number, Buffer.concat([field(1, key), field(2, value)]));
}

describe("definitionToJson and definitionFromJson", () => {
  test.each(vectors)("$name: the bytes come back, with raw bytes for no op", ({ definition }) => {
    const bytes = new Uint8Array(Buffer.from(definition, "base64"));
    const json = definitionToJson(bytes);
    expect(Buffer.from(definitionFromJson(json)).equals(bytes)).toBe(true);
    expect(json.raw).toBeUndefined();
    expect(json.def.filter(({ raw }) => raw !== undefined)).toEqual([]);
  });

  test.each(foreign)("%s: the bytes come back, raw where they must be", (_title, bytes, raw) => {
    const json = definitionToJson(bytes);
    expect(Buffer.from(roundTrip(bytes)).toString("hex")).toBe(Buffer.from(bytes).toString("hex"));
    const entries = [...Object.values(json.metadata), ...(json.Source === undefined ? [] : [json.Source])];
    expect({
      all: json.raw !== undefined,
      op: json.def.some((op) => op.raw !== undefined),
      entry: entries.some((entry) => "raw" in entry),
    }).toEqual({ all: raw === "all", op: raw === "op", entry: raw === "entry" });
  });

  test("any bytes that are a definition come back, all others are refused", () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...definitions.filter(({ length }) => length < 4000)),
        fc.array(
          fc.record({
            at: fc.nat(),
            kind: fc.constantFrom("set", "insert", "delete", "cut", "repeat"),
            byte: fc.integer({ min: 0, max: 255 }),
          }),
          { minLength: 1, maxLength: 4 },
        ),
      )
      .map(([bytes, changes]) => changes.reduce(mutate, bytes));
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        const read = attempt(() => roundTrip(bytes));
        if (read instanceof KilnError) expect(read.code).toBe("ERR_KILN_INVALID_DEFINITION");
        else expect(Buffer.from(read).equals(bytes)).toBe(true);
        for (const use of [toText, toDot, fromDefinition]) {
          const used = attempt(() => use(decodeDefinition(bytes)));
          if (used instanceof KilnError) expect(used.code).toBe("ERR_KILN_INVALID_DEFINITION");
        }
      }),
      { numRuns: inSoak(1000, 3000) },
    );
  });

  test.each([
    ["no object", [], "not an LLB definition: the JSON is no object"],
    ["an unknown key", { ops: [] }, 'not an LLB definition: the JSON has a key "ops"'],
    ["an entry without op", { def: [{}] }, "not an LLB definition: def[0] has no op"],
    ["raw that is no base64", { raw: "?" }, "not an LLB definition: raw of raw is not base64"],
    [
      "raw of another op",
      { def: [{ op: { source: { identifier: "x" } }, raw: "GgA=" }] },
      "not an LLB definition: def[0] and its raw bytes disagree; remove raw to encode an edited value",
    ],
    [
      "raw of another definition",
      { def: [{ op: {} }], raw: "" },
      "not an LLB definition: the definition and its raw bytes disagree; remove raw to encode an edited value",
    ],
  ])("%s is refused", (_title, json, message) => {
    const error = attempt(() => definitionFromJson(json));
    expect(error).toMatchObject({ code: "ERR_KILN_INVALID_DEFINITION", message });
  });

  test.each([
    ["text that is not UTF-8", field(1, field(1, field(1, Buffer.from([0xff])))), "op 0 at byte 0"],
    ["an op that is cut off", Buffer.concat([terminal, field(1, Buffer.from([10, 5]))]), "op 1 at byte 14"],
    ["a length that reaches beyond the end", Buffer.from([10, 5, 1]), "field 1 is cut off at byte 0"],
    ["a tag that is cut off", Buffer.concat([terminal, Buffer.from([0x80])]), "a tag is cut off at byte 14"],
    ["a number without an end", Buffer.alloc(12, 0xff), "a tag is longer than ten bytes at byte 0"],
    ["a number where bytes belong", Buffer.from([8, 1]), "field 1 has wire type 0 at byte 0"],
    ["a group", Buffer.from([11, 12]), "field 1 has wire type 3 at byte 0"],
    ["definitions nested without end", nested(200), "recursion depth"],
  ])("%s is refused with its place", (_title, bytes, place) => {
    const error = attempt(() => definitionToJson(bytes));
    expect(error).toMatchObject({ code: "ERR_KILN_INVALID_DEFINITION" });
    expect((error as KilnError).message).toContain(place);
  });

  test("a field that no op has is refused by name", () => {
    const error = attempt(() => definitionFromJson({ def: [{ op: { sources: {} } }] }));
    expect(error).toMatchObject({ code: "ERR_KILN_INVALID_DEFINITION" });
    expect((error as KilnError).message).toContain("def[0]");
    expect((error as KilnError).message).toContain("sources");
  });

  test("an edited op needs its digest removed", () => {
    const [bytes] = definitions;
    const json = structuredClone(definitionToJson(bytes!)) as unknown as {
      def: { digest?: string; op: object }[];
    };
    json.def[0]!.op = { source: { identifier: "docker-image://docker.io/library/busybox:latest" } };
    expect(() => definitionFromJson(json)).toThrow(/def\[0\] has the digest sha256:\w+; correct or remove/);
    delete json.def[0]!.digest;
    expect(definitionFromJson(json).length).toBeGreaterThan(0);
  });
});

function mutate(
  bytes: Uint8Array,
  { at, kind, byte }: { readonly at: number; readonly kind: string; readonly byte: number },
): Uint8Array {
  const position = bytes.length === 0 ? 0 : at % bytes.length;
  const [before, after] = [bytes.subarray(0, position), bytes.subarray(position)];
  switch (kind) {
    case "set":
      return Uint8Array.of(...before, byte, ...after.subarray(1));
    case "insert":
      return Uint8Array.of(...before, byte, ...after);
    case "delete":
      return Uint8Array.of(...before, ...after.subarray(1));
    case "cut":
      return before;
    default:
      return Uint8Array.of(...bytes, ...after);
  }
}

/** The result, or the error if Kiln throws one; anything else that is thrown fails the test. */
function attempt<T>(run: () => T): T | KilnError {
  try {
    return run();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
}
