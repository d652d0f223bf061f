import { compareBytes } from "./byte-order.js";

const prefix = "sha256:";
const keyLength = prefix.length + 8;
// What a double has left beside the 32 bits of a digest that are compared.
const mostKeys = 2 ** 21;

/**
 * The places of some keys in their byte order, found fast where they are the digests of ops.
 *
 * The first 32 bits of a digest and the place of its key make one number, and numbers are sorted several times faster
 * than texts. Digests that begin alike are told apart by their texts.
 */
export function digestOrder(keys: readonly string[]): readonly number[] {
  const marks = keys.length > mostKeys ? undefined : markAll(keys);
  if (marks === undefined) return [...keys.keys()].sort((a, b) => compareAt(keys, a, b));
  marks.sort();
  const order: number[] = [];
  let start = 0;
  let startBits = -1;
  for (let index = 0; index < marks.length; index += 1) {
    const mark = marks[index] as number;
    const bits = Math.floor(mark / mostKeys);
    if (bits !== startBits) {
      sortFrom(order, start, keys);
      start = index;
      startBits = bits;
    }
    order.push(mark % mostKeys);
  }
  sortFrom(order, start, keys);
  return order;
}

function sortFrom(order: number[], start: number, keys: readonly string[]): void {
  if (order.length - start < 2) return;
  for (const index of order.splice(start).sort((a, b) => compareAt(keys, a, b))) order.push(index);
}

function compareAt(keys: readonly string[], a: number, b: number): number {
  return compareBytes(keys[a] as string, keys[b] as string);
}

function markAll(keys: readonly string[]): Float64Array | undefined {
  const marks = new Float64Array(keys.length);
  for (let index = 0; index < keys.length; index += 1) {
    const bits = leadingBits(keys[index] as string);
    if (bits === undefined) return undefined;
    marks[index] = bits * mostKeys + index;
  }
  return marks;
}

/** The first eight hexadecimal digits of a SHA-256 digest as a number; `undefined` for any other text. */
export function leadingBits(key: string): number | undefined {
  if (key.length < keyLength || !key.startsWith(prefix)) return undefined;
  let bits = 0;
  for (let index = prefix.length; index < keyLength; index += 1) {
    const code = key.charCodeAt(index);
    let digit: number;
    if (code >= 48 && code <= 57) digit = code - 48;
    else if (code >= 97 && code <= 102) digit = code - 87;
    else return undefined;
    bits = bits * 16 + digit;
  }
  return bits;
}
