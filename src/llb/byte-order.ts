/**
 * Compares two strings by their UTF-8 bytes, the order in which Go sorts map keys and mount targets.
 *
 * JavaScript's own `<` compares UTF-16 units and so puts U+E000…U+FFFF after characters beyond U+FFFF.
 */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x === y) continue;
    // A surrogate stands for a character beyond U+FFFF, whose bytes sort after all others.
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    if (xHigh !== yHigh) return xHigh ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

const surrogate = /[\ud800-\udfff]/;

/** The keys of a record or map in byte order. */
export function sortedKeys(
  source: Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>,
): string[] {
  const keys =
    source instanceof Map ? [...(source as ReadonlyMap<string, unknown>).keys()] : Object.keys(source);
  // The two orders only differ where a key has a character beyond U+FFFF.
  return keys.some((key) => surrogate.test(key)) ? keys.sort(compareBytes) : keys.sort();
}
