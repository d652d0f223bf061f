import { checkOptions } from "../internal/check-options.js";
import { checkInteger, checkText, wrongArgument } from "./check-argument.js";
import type { ChownFields, UserFields } from "./op-fields.js";

/** Owner and time of what a file operation makes. */
export interface FileOwner {
  /** `user:group`, each a name or a number, or the two on their own. Default: the daemon's way, mostly root. */
  readonly owner?:
    | string
    | { readonly user?: string | number | undefined; readonly group?: string | number | undefined }
    | undefined;
  /** A bigint is nanoseconds since 1970. Default: the time of the build. */
  readonly createdTime?: Date | bigint | undefined;
}

/** The keys of {@link FileOwner}. */
export const ownerKeys: readonly string[] = ["owner", "createdTime"];

/** Checked user and group; a string is a name that the daemon looks up in the filesystem. */
export interface OwnerNode {
  readonly user: string | number | undefined;
  readonly group: string | number | undefined;
}

/** Checks `owner`. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function resolveOwner(call: string, { owner }: FileOwner): OwnerNode | undefined {
  if (owner === undefined) return undefined;
  if (typeof owner === "string") {
    const colon = checkText(call, "owner", owner).indexOf(":");
    return {
      user: idOrName(colon < 0 ? owner : owner.slice(0, colon)),
      group: colon < 0 ? undefined : idOrName(owner.slice(colon + 1)),
    };
  }
  checkOptions(`${call} owner`, owner, ["user", "group"]);
  const part = (key: "user" | "group"): string | number | undefined => {
    const value = owner[key];
    if (typeof value === "string") return idOrName(checkText(call, `owner.${key}`, value));
    return value === undefined ? undefined : checkInteger(call, `owner.${key}`, value, 0, 0xffffffff);
  };
  return { user: part("user"), group: part("group") };
}

/** Checks `createdTime` and gives it in nanoseconds. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function resolveTime(call: string, { createdTime }: FileOwner): bigint | undefined {
  if (createdTime === undefined) return undefined;
  if (typeof createdTime === "bigint" && BigInt.asIntN(64, createdTime) === createdTime) return createdTime;
  const millis = createdTime instanceof Date ? createdTime.getTime() : Number.NaN;
  // Nanoseconds in 64 bits reach from the year 1677 to 2262.
  if (Math.abs(millis) <= 9_223_372_036_854) return BigInt(millis) * 1_000_000n;
  throw wrongArgument(
    call,
    "createdTime must be a Date or a bigint of nanoseconds, between the years 1678 and 2262",
    "Pass new Date(…) or nanoseconds since 1970.",
  );
}

/** The owner as the protocol has it; names are looked up in the op's input number `base`, -1 = nowhere. */
export function ownerFields(owner: OwnerNode | undefined, base: number): ChownFields | undefined {
  if (owner === undefined) return undefined;
  return { user: userFields(owner.user, base), group: userFields(owner.group, base) };
}

function userFields(user: string | number | undefined, base: number): UserFields | undefined {
  if (user === undefined) return undefined;
  // Go's client takes an empty name for number 0.
  if (typeof user === "number" || user === "")
    return { user: { case: "byID", value: user === "" ? 0 : user } };
  return { user: { case: "byName", value: { name: user, input: base } } };
}

/** `root` and what Go reads as a signed number of 32 bits are ids, all else is a name. */
function idOrName(text: string): string | number {
  if (text === "root") return 0;
  if (!/^[+-]?[0-9]+$/.test(text)) return text;
  const value = Number(text);
  return value >= -0x80000000 && value <= 0x7fffffff ? value >>> 0 : text;
}
