/** Nothing that is stored or sent is nested deeper. */
const deepest = 100;

/** Key of what JSON has no word for: `{"$": ["bigint", "12"]}`. */
const tag = "$";

/**
 * A value as JSON data, for {@link fromJsonData}: beside what JSON has, `undefined`, all numbers, bigints, dates, bytes,
 * maps and sets.
 *
 * Throws a `TypeError` for functions, symbols, instances of other classes, and what is nested more than 100 deep, such as
 * a circle.
 */
export function toJsonData(value: unknown): unknown {
  return encode(value, 0);
}

/** The value that {@link toJsonData} made `data` of. Throws a `TypeError` for data that it did not make. */
export function fromJsonData(data: unknown): unknown {
  return decode(data, 0);
}

function encode(value: unknown, depth: number): unknown {
  if (depth > deepest) throw new TypeError(`a value is nested more than ${deepest} deep`);
  const inner = (item: unknown): unknown => encode(item, depth + 1);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0) ? value : tagged("number", numberText(value));
    case "bigint":
      return tagged("bigint", String(value));
    case "undefined":
      return tagged("undefined");
    case "object":
      return value === null ? null : encodeObject(value, inner);
    default:
      throw new TypeError(`a ${typeof value} is no data`);
  }
}

function encodeObject(value: object, inner: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof Date) return tagged("date", numberText(value.getTime()));
  if (value instanceof Uint8Array) return tagged("bytes", Buffer.from(value).toString("base64"));
  if (value instanceof Map) {
    return tagged(
      "map",
      [...value].map((entry) => entry.map(inner)),
    );
  }
  if (value instanceof Set) return tagged("set", [...value].map(inner));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`an instance of ${value.constructor.name} is no data`);
  }
  const entries = Object.entries(value).map(([key, item]) => [key, inner(item)] as const);
  return Object.hasOwn(value, tag) ? tagged("object", entries) : Object.fromEntries(entries);
}

function numberText(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function tagged(kind: string, ...content: readonly unknown[]): unknown {
  return { [tag]: [kind, ...content] };
}

function decode(data: unknown, depth: number): unknown {
  if (depth > deepest) throw new TypeError(`data is nested more than ${deepest} deep`);
  const inner = (item: unknown): unknown => decode(item, depth + 1);
  if (data === null || typeof data === "string" || typeof data === "boolean" || typeof data === "number") {
    return data;
  }
  if (Array.isArray(data)) return data.map(inner);
  if (typeof data !== "object") throw new TypeError(`a ${typeof data} is no JSON data`);
  const special: unknown = Object.hasOwn(data, tag) ? Reflect.get(data, tag) : undefined;
  if (special === undefined) {
    return Object.fromEntries(Object.entries(data).map(([key, item]) => [key, inner(item)]));
  }
  if (!Array.isArray(special)) throw new TypeError("data has a tag of no known kind");
  const [kind, content]: readonly unknown[] = special;
  return decodeTagged(String(kind), content, inner);
}

function decodeTagged(kind: string, content: unknown, inner: (item: unknown) => unknown): unknown {
  switch (kind) {
    case "undefined":
      return undefined;
    case "number":
      return Number(textOf(content));
    case "bigint":
      return BigInt(checkedText(content, /^-?\d{1,4096}$/));
    case "date":
      return new Date(Number(textOf(content)));
    case "bytes":
      return new Uint8Array(Buffer.from(textOf(content), "base64"));
    case "map":
      return new Map(pairsOf(content).map(([key, value]) => [inner(key), inner(value)]));
    case "set":
      return new Set(listOf(content).map(inner));
    case "object":
      return Object.fromEntries(pairsOf(content).map(([key, value]) => [textOf(key), inner(value)]));
    default:
      throw new TypeError("data has a tag of no known kind");
  }
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  throw new TypeError("tagged data lacks its text");
}

function checkedText(content: unknown, pattern: RegExp): string {
  const text = textOf(content);
  if (pattern.test(text)) return text;
  throw new TypeError("tagged data has another text than it may");
}

function listOf(content: unknown): readonly unknown[] {
  if (Array.isArray(content)) return content;
  throw new TypeError("tagged data lacks its list");
}

function pairsOf(content: unknown): readonly (readonly [unknown, unknown])[] {
  return listOf(content).map((pair) => {
    const [key, value, ...more]: readonly unknown[] = listOf(pair);
    if (more.length > 0) throw new TypeError("tagged data has a pair of more than two");
    return [key, value];
  });
}
