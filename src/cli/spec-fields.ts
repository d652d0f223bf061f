import { KilnError } from "../errors.js";

/** One `key=value` of a flag. */
export type Field = readonly [key: string, value: string];

/**
 * Reads a flag's comma-separated `key=value`s in order, keys in lower case, quoted as in CSV where a value holds a comma
 * (`"dest=a,b"`).
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a part without an equals sign, with `hint`. The text is not shown: some hold
 * secrets.
 */
export function specFields(flag: string, text: string, hint: string): readonly Field[] {
  return csvFields(flag, text, hint).map((part): Field => {
    const equals = part.indexOf("=");
    if (equals > 0) return [part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1)];
    const shown = equals < 0 ? `"${part}" is` : "a part is";
    throw wrongFlag(flag, `${shown} no key=value`, hint);
  });
}

/** The same by key. Throws also for a key that is there twice. */
export function specMap(flag: string, text: string, hint: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [key, value] of specFields(flag, text, hint)) {
    if (fields.has(key)) throw wrongFlag(flag, `${key} is there twice`, hint);
    fields.set(key, value);
  }
  return fields;
}

/** Refuses keys that a flag does not have. */
export function onlyKeys(
  flag: string,
  fields: ReadonlyMap<string, string>,
  allowed: readonly string[],
): void {
  for (const key of fields.keys()) {
    if (!allowed.includes(key))
      throw wrongFlag(flag, `there is no key "${key}"`, `It takes: ${allowed.join(", ")}.`);
  }
}

/** `true` or `false` as flags write them; `undefined` for what is neither. */
export function flagValue(text: string): boolean | undefined {
  if (["true", "1"].includes(text.toLowerCase())) return true;
  return ["false", "0"].includes(text.toLowerCase()) ? false : undefined;
}

/** The error for a wrong flag. */
export function wrongFlag(flag: string, why: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `${flag}: ${why}`, { hint });
}

function csvFields(flag: string, text: string, hint: string): readonly string[] {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(rest);
    if (quoted === null && rest.startsWith('"')) throw wrongFlag(flag, "a quote is not closed", hint);
    const comma = rest.indexOf(",");
    const length = quoted?.[0].length ?? (comma < 0 ? rest.length : comma);
    fields.push(quoted === null ? rest.slice(0, length) : (quoted[1] ?? "").replaceAll('""', '"'));
    if (length === rest.length) return fields;
    rest = rest.slice(length + 1);
  }
}
