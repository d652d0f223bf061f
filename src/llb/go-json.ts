/**
 * An array of strings as Go's `encoding/json` writes it: like `JSON.stringify`, but `<`, `>`, `&`, U+2028 and U+2029
 * are escaped. It becomes part of op bytes, so it must match to the character.
 */
export function goJsonStrings(items: readonly string[]): string {
  return JSON.stringify(items).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
