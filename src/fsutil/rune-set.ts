const MAX_RUNE = 0x10ffff;

/** An inclusive range of code points. */
export type RuneRange = readonly [low: number, high: number];

/** A set of code points as sorted, disjoint ranges. */
export type RuneSet = readonly RuneRange[];

/** The classes written as a backslash and a lower-case letter; the upper-case letter is the complement. */
export const PERL_CLASSES: Readonly<Record<string, RuneSet>> = {
  d: [[0x30, 0x39]],
  s: ranges("\t\n\f\r  "),
  w: ranges("09AZ__az"),
};

/** The ASCII classes that stand as `[:name:]` inside brackets. */
export const POSIX_CLASSES: Readonly<Record<string, RuneSet>> = {
  alnum: ranges("09AZaz"),
  alpha: ranges("AZaz"),
  ascii: [[0, 0x7f]],
  blank: ranges("\t\t  "),
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: ranges("09"),
  graph: ranges("!~"),
  lower: ranges("az"),
  print: ranges(" ~"),
  punct: ranges("!/:@[`{~"),
  space: ranges("\t\r  "),
  upper: ranges("AZ"),
  word: ranges("09AZ__az"),
  xdigit: ranges("09AFaf"),
};

/** Reads pairs of characters as ranges. */
function ranges(pairs: string): RuneSet {
  const found: RuneRange[] = [];
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    found.push([pairs.charCodeAt(index), pairs.charCodeAt(index + 1)]);
  }
  return found;
}

/** Sorts ranges and joins those that touch. */
export function normalizeRunes(set: RuneSet): RuneSet {
  const sorted = [...set].sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined;
}

/** Every code point that is not in `set`. */
export function complementRunes(set: RuneSet): RuneSet {
  const found: RuneRange[] = [];
  let next = 0;
  for (const [low, high] of normalizeRunes(set)) {
    if (low > next) found.push([next, low - 1]);
    next = high + 1;
  }
  if (next <= MAX_RUNE) found.push([next, MAX_RUNE]);
  return found;
}

/** Whether `set` holds the code point `rune`. */
export function hasRune(set: RuneSet, rune: number): boolean {
  for (const [low, high] of set) {
    if (rune < low) return false;
    if (rune <= high) return true;
  }
  return false;
}
