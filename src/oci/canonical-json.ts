/**
 * A value as JSON that is the same for equal values: keys sorted by UTF-16 units, no white space, keys without a value left
 * out. For bytes that get a digest.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
