/** The middle one of an odd number of values. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** A number with few digits, for tables. */
export function rounded(value, digits = 2) {
  return Number(value.toFixed(digits));
}
