import { argumentError, describe } from "../check-args.js";

/** Checks an option that lists groups or extras by name; default none. */
export function checkGroupNames(call: string, key: string, value: unknown): readonly string[] {
  if (value === undefined) return [];
  const hint = `Write ${key}: ["test"].`;
  if (!Array.isArray(value)) {
    throw argumentError(call, `${key} must be a list of names, got ${describe(value)}`, { hint });
  }
  return value.map((name: unknown) => {
    if (typeof name === "string" && /^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?$/.test(name)) return name;
    throw argumentError(call, `${key} must be a list of names, got one with ${describe(name)}`, { hint });
  });
}
