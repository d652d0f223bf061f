import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { CacheRecordType } from "./cache-record.js";

/** Which cache records are meant: those to which every given property applies. */
export interface CacheFilter {
  readonly id?: string | undefined;
  readonly type?: CacheRecordType | undefined;
  /** The whole description. */
  readonly description?: string | undefined;
  /** An id among the record's parents. */
  readonly parent?: string | undefined;
  readonly inUse?: true | undefined;
  readonly mutable?: boolean | undefined;
  readonly shared?: boolean | undefined;
}

const keys: readonly (keyof CacheFilter)[] = [
  "id",
  "type",
  "description",
  "parent",
  "inUse",
  "mutable",
  "shared",
];

const types: ReadonlySet<string> = new Set<CacheRecordType>([
  "internal",
  "frontend",
  "source.local",
  "source.git.checkout",
  "exec.cachemount",
  "regular",
]);

/**
 * Filters in the daemon's syntax (containerd's): several of them are alternatives.
 *
 * The fields are those of BuildKit's cache manager. There is no way to ask it for records that are not in use, as its
 * syntax has no negation; `mutable` and `shared` have a field for either value. Throws `ERR_KILN_UNKNOWN_OPTION`, and
 * `ERR_KILN_INVALID_ARGUMENT` for wrong values and for a filter that names no property: the daemon would take it for
 * all records.
 */
export function encodeCacheFilters(call: string, filters: readonly CacheFilter[] | undefined): string[] {
  if (filters === undefined) return [];
  if (!Array.isArray(filters)) throw wrongArgument(call, "filter must be an array", "Pass [{ type: … }].");
  return filters.map((filter: CacheFilter, index) => encodeOne(call, `filter[${index}]`, filter));
}

function encodeOne(call: string, where: string, filter: CacheFilter): string {
  checkOptions(`${call}, ${where}`, filter, keys);
  const { id, type, description, parent, inUse, mutable, shared } = filter;
  if (type !== undefined && !types.has(type)) {
    throw wrongArgument(
      call,
      `${where}.type is ${JSON.stringify(type)}`,
      `Use one of: ${[...types].join(", ")}.`,
    );
  }
  const selectors: string[] = [];
  for (const [field, operator, value] of [
    ["id", "==", id],
    ["type", "==", type],
    ["description", "==", description],
    ["parents", "~=", parent],
  ] as const) {
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") {
      throw wrongArgument(
        call,
        `${where}: ${field} must be a text that is not empty`,
        "Leave it out to allow any.",
      );
    }
    selectors.push(`${field}${operator}${quote(operator === "~=" ? escapePattern(value) : value)}`);
  }
  for (const [name, value] of Object.entries({ inUse, mutable, shared })) {
    if (value !== undefined && typeof value !== "boolean") {
      throw wrongArgument(call, `${where}.${name} must be a boolean`, "Leave it out to allow either.");
    }
  }
  if ((inUse as boolean | undefined) === false) {
    throw wrongArgument(
      call,
      `${where}.inUse cannot be false: BuildKit's filters have no negation`,
      "Leave it out: prune() never removes what is in use, and diskUsage() tells inUse for every record.",
    );
  }
  if (inUse === true) selectors.push("inuse");
  if (mutable !== undefined) selectors.push(mutable ? "mutable" : "immutable");
  if (shared !== undefined) selectors.push(shared ? "shared" : "private");
  if (selectors.length === 0) {
    throw wrongArgument(
      call,
      `${where} names no property and would mean every record`,
      `Name one of: ${keys.join(", ")}.`,
    );
  }
  return selectors.join(",");
}

// The daemon reads values as Go string literals, of which JSON's are a part.
function quote(value: string): string {
  return JSON.stringify(value);
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
