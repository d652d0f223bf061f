import { parse, TomlError } from "smol-toml";
import { KilnError } from "../../errors.js";

/** A table of a TOML file. */
export type TomlTable = Readonly<Record<string, unknown>>;

/**
 * Reads a TOML file.
 *
 * Throws `ERR_KILN_FILE_INVALID` with file, line and column for what is no TOML.
 */
export function readToml(content: Uint8Array | string, path: string): TomlTable {
  const text = typeof content === "string" ? content : new TextDecoder().decode(content);
  try {
    return parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [why = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n", 1);
    throw new KilnError("ERR_KILN_FILE_INVALID", `${path}:${error.line}:${error.column}: no TOML: ${why}`, {
      cause: error,
      hint: "Correct the file at that place.",
    });
  }
}

/** The table at a path of keys; `undefined` if there is none. */
export function tableAt(table: TomlTable, ...keys: readonly string[]): TomlTable | undefined {
  let found: unknown = table;
  for (const key of keys) found = isTable(found) && Object.hasOwn(found, key) ? found[key] : undefined;
  return isTable(found) ? found : undefined;
}

/** The strings in a list; `undefined` if there is no list. What is no string is left out. */
export function stringsIn(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : undefined;
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
