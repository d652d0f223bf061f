import type { JoinedTexts, PairText } from "./op-fields.js";

// Where lists of strings are laid out before they are copied; grows with the longest list so far.
let scratch: Buffer = Buffer.allocUnsafeSlow(4096);

/** A repeated string field: its number and values. */
export interface TextsField {
  readonly number: number;
  readonly values: readonly (string | PairText)[] | JoinedTexts;
}

/**
 * The bytes of repeated string fields, followed by `tail`, in one piece.
 *
 * Arguments and environment are most of what a command says. Laid out by hand they take a third of the time that
 * three writer operations for every string take, and leave no garbage.
 *
 * The result is overwritten by the next call: copy it before. A piece of its own would take its room from the slabs
 * that encoded ops keep alive, and so double what a graph holds.
 */
export function packTexts(fields: readonly TextsField[], tail: Uint8Array): Uint8Array {
  let size = tail.length;
  for (const { values } of fields) size += mostBytes(values);
  if (size > scratch.length) scratch = Buffer.allocUnsafeSlow(size * 2);
  let position = 0;
  for (const { number, values } of fields) {
    position = putTexts(number * 8 + 2, values, position);
  }
  scratch.set(tail, position);
  return scratch.subarray(0, position + tail.length);
}

function mostBytes(texts: TextsField["values"]): number {
  // As if every character of the joined texts were one of their ends.
  if ("joined" in texts) return (texts.joined.length + 1) * 9;
  let size = 0;
  for (const text of texts) {
    size += (typeof text === "string" ? text.length : text.key.length + text.value.length + 1) * 3 + 6;
  }
  return size;
}

function putTexts(tag: number, texts: TextsField["values"], start: number): number {
  let position = start;
  if ("joined" in texts) return putJoined(tag, texts.joined, start);
  for (const text of texts) {
    position = typeof text === "string" ? putText(tag, text, position) : putPair(tag, text, position);
  }
  return position;
}

function putJoined(tag: number, joined: string, start: number): number {
  let position = start;
  let from = 0;
  while (from <= joined.length) {
    const end = putShort(joined, from, position + 2);
    const written = end - position - 2;
    const next = from + written;
    if (written < 128 && (next === joined.length || joined.charCodeAt(next) === 0)) {
      scratch[position] = tag;
      scratch[position + 1] = written;
      position = end;
      from = next + 1;
    } else {
      const separator = joined.indexOf("\0", from);
      const stop = separator < 0 ? joined.length : separator;
      position = putText(tag, joined.slice(from, stop), position);
      from = stop + 1;
    }
  }
  return position;
}

const shortText = 64;

function putPair(tag: number, { key, value }: PairText, start: number): number {
  const length = key.length + value.length + 1;
  if (length < shortText) {
    scratch[start] = tag;
    scratch[start + 1] = length;
    const middle = putShort(key, 0, start + 2);
    if (middle === start + 2 + key.length) {
      scratch[middle] = equalsSign;
      const end = putShort(value, 0, middle + 1);
      if (end === start + 2 + length) return end;
    }
  }
  return putText(tag, `${key}=${value}`, start);
}

const equalsSign = 0x3d;

/** Writes a text from `from` as long as it is ASCII, short and without NUL; returns where it stopped. */
function putShort(value: string, from: number, start: number): number {
  let position = start;
  const stop = Math.min(value.length, from + 127);
  for (let index = from; index < stop; index += 1) {
    const code = value.charCodeAt(index);
    if (code > 127 || code === 0) break;
    scratch[position++] = code;
  }
  return position;
}

function putText(tag: number, value: string, start: number): number {
  const { length } = value;
  scratch[start] = tag;
  if (length < shortText) {
    // Most strings are short and ASCII: faster character by character than through a call into the runtime.
    const end = putShort(value, 0, start + 2);
    if (end === start + 2 + length) {
      scratch[start + 1] = length;
      return end;
    }
  }
  let rest = Buffer.byteLength(value);
  let position = start + 1;
  for (; rest > 127; rest = Math.floor(rest / 128)) scratch[position++] = (rest % 128) | 128;
  scratch[position++] = rest;
  return position + scratch.write(value, position);
}
