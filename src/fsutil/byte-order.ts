/**
 * Compares two names by their UTF-8 bytes without encoding them: negative, 0 or positive.
 *
 * JavaScript compares UTF-16 units, which puts non-BMP characters before U+E000–U+FFFF; UTF-8 puts them
 * after. The packet protocol's order is that of the bytes.
 */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Compares two relative paths in the order of a depth-first walk: the separator sorts lowest. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    if (left === 0x2f) return -1;
    if (right === 0x2f) return 1;
    return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Moves surrogates above the rest of the BMP, so that units compare like the code points they stand for. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}
