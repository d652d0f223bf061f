import type { CacheFilter } from "../engine/daemon-records.js";
import { KilnError } from "../errors.js";

/** What `--filter` takes, for the help. */
export const cacheFilterHelp =
  "records with all of KEY=VALUE,…: id, type, description, parent, in-use, mutable, shared; repeatable: any of them";

const names: Readonly<Record<string, keyof CacheFilter>> = {
  id: "id",
  type: "type",
  description: "description",
  parent: "parent",
  "in-use": "inUse",
  inuse: "inUse",
  mutable: "mutable",
  shared: "shared",
};

const flags: ReadonlySet<string> = new Set(["inUse", "mutable", "shared"]);

/**
 * Reads one `--filter`: `type=regular,mutable=true`. A description may have commas, and is then the last key.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`; values are checked by the library.
 */
export function parseCacheFilter(text: string): CacheFilter {
  const filter: Record<string, string | boolean> = {};
  let rest = text;
  while (rest !== "") {
    const [, name = "", begin = ""] = /^([^=,]+)=?(.*)$/s.exec(rest) ?? [];
    const key = names[name.trim().toLowerCase()];
    if (key === undefined) {
      throw wrong(
        text,
        `there is no key "${name === "" ? rest : name}"`,
        `Keys: ${Object.keys(names).join(", ")}.`,
      );
    }
    const comma = key === "description" ? -1 : begin.indexOf(",");
    const value = comma < 0 ? begin : begin.slice(0, comma);
    rest = comma < 0 ? "" : begin.slice(comma + 1);
    if (key in filter) throw wrong(text, `${name} is given twice`, "Repeat --filter for alternatives.");
    filter[key] = flags.has(key) ? flag(text, name, value) : value;
  }
  return filter as CacheFilter;
}

function flag(text: string, name: string, value: string): boolean {
  if (["true", "1"].includes(value)) return true;
  if (["false", "0"].includes(value)) return false;
  throw wrong(text, `${name} must be true or false`, `Write ${name}=true.`);
}

function wrong(text: string, why: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `--filter ${text}: ${why}`, { hint });
}
