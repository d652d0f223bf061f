import { KilnError } from "../../errors.js";
import { type CacheExport, type CacheImport, cacheAttributes, cacheTypes } from "./cache-options.js";

/** What an `--output`-like text says: attributes by BuildKit's names. */
export type CacheFields = ReadonlyMap<string, string>;

/** Attributes of local caches, which this side reads: the daemon hears none of them. */
const localFields = {
  export: { dest: "dir", tag: "tag", reset: "reset" },
  import: { src: "dir", tag: "tag", digest: "digest" },
} as const;

/**
 * The cache that attributes in BuildKit's spelling say (`type=registry,ref=…,mode=max`), for command lines.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a type, attribute or value that there is not, with what is allowed. No value is
 * shown: some are secret.
 */
export function cacheFromFields(direction: "export", fields: CacheFields): CacheExport;
export function cacheFromFields(direction: "import", fields: CacheFields): CacheImport;
export function cacheFromFields(
  direction: "export" | "import",
  fields: CacheFields,
): CacheExport | CacheImport {
  const type = fields.get("type");
  const types = cacheTypes(direction);
  if (type === undefined || !isOneOf(types, type)) {
    throw refused(
      type === undefined ? "it has no type" : `there is no type "${type}"`,
      `Types: ${types.join(", ")}.`,
    );
  }
  const known = new Map<string, { readonly key: string; readonly kind: string }>();
  for (const [key, [attr, kind]] of Object.entries(cacheAttributes(direction, type))) {
    known.set(attr, { key, kind });
  }
  if (type === "local") {
    for (const [attr, key] of Object.entries(localFields[direction])) {
      known.set(attr, { key, kind: key === "reset" ? "flag" : "text" });
    }
  }
  if (direction === "export" && type !== "inline") known.set("mode", { key: "mode", kind: "text" });
  const cache: Record<string, unknown> = { type };
  for (const [attr, text] of fields) {
    if (attr === "type") continue;
    const option = known.get(attr);
    if (option === undefined) {
      const allowed = known.size === 0 ? "It takes none." : `It takes: ${[...known.keys()].join(", ")}.`;
      throw refused(`type=${type} has no key "${attr}"`, allowed);
    }
    cache[option.key] = optionValue(attr, text, option.kind);
  }
  return cache as unknown as CacheExport | CacheImport;
}

function optionValue(attr: string, text: string, kind: string): unknown {
  switch (kind) {
    case "flag":
      if (["true", "1", ""].includes(text)) return true;
      if (["false", "0"].includes(text)) return false;
      throw refused(`${attr} is neither true nor false`, `Write ${attr}=true.`);
    case "count":
    case "level":
      if (/^\d+$/.test(text)) return Number(text);
      throw refused(`${attr} is no number`, `Write ${attr}=3.`);
    case "milliseconds":
      return milliseconds(attr, text);
    case "names":
      return text.split(";");
    default:
      return text;
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

// Go's durations, as far as they make sense here.
function milliseconds(attr: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    throw refused(`${attr} is no duration`, `Write it like ${attr}=1h30m.`);
  }
  return Math.round(
    parts.reduce((sum, [, amount = "", unit = ""]) => sum + Number(amount) * (units[unit] ?? 0), 0),
  );
}

function isOneOf<T extends string>(list: readonly T[], text: string): text is T {
  return (list as readonly string[]).includes(text);
}

function refused(why: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", why, { hint });
}
