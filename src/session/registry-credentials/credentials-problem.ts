import { type CallSite, KilnError } from "../../errors.js";

/** The values of a secret, by key. */
export type SecretValues = Readonly<Record<string, string>>;

/** Whose credentials are wanted, for messages. */
export interface WantedFor {
  /** The registry's host. */
  readonly host: string;
  /** Where the user's program names the secret. */
  readonly location?: CallSite | undefined;
}

/** Why there are no credentials for a host: `ERR_KILN_UNAUTHORIZED`. The message must hold no value. */
export function credentialsProblem(
  { host, location }: WantedFor,
  why: string,
  hint: string,
  cause?: unknown,
): KilnError {
  return new KilnError("ERR_KILN_UNAUTHORIZED", `no credentials for ${host}: ${why}`, {
    hint,
    location,
    cause,
  });
}

/**
 * The values of keys that a secret must have.
 *
 * Throws `ERR_KILN_SECRET_NOT_FOUND` with the keys that it lacks or that are empty, and those that it has.
 */
export function requiredValues<K extends string>(
  wanted: WantedFor,
  values: SecretValues,
  keys: readonly K[],
): Readonly<Record<K, string>> {
  const lacking = keys.filter((key) => heldValue(values, key) === undefined);
  if (lacking.length > 0) throw lacksKeys(wanted, values, lacking.join(" and "));
  return Object.fromEntries(keys.map((key) => [key, heldValue(values, key) ?? ""])) as Record<K, string>;
}

/** A value that is there and not empty. */
export function heldValue(values: SecretValues, key: string): string | undefined {
  return Object.hasOwn(values, key) && values[key] !== "" ? values[key] : undefined;
}

/** The error for a secret without keys that it needs. `lacking` says which. */
export function lacksKeys({ host, location }: WantedFor, values: SecretValues, lacking: string): KilnError {
  const held = Object.keys(values).filter((key) => values[key] !== "");
  return new KilnError(
    "ERR_KILN_SECRET_NOT_FOUND",
    `the secret with the credentials for ${host} lacks ${lacking}; it has ${held.join(", ") || "nothing"}`,
    { hint: "Put them into the secret: it is a secret of its own, which steps do not get.", location },
  );
}
