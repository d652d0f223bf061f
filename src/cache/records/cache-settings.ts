import { KilnError } from "../../errors.js";
import { parseDuration, parseSize } from "../../internal/quantities.js";

/** How much the cache may hold. */
export interface CacheLimits {
  /** Bytes of all files together; least recently used go first. Default 5 GB (5,000,000,000). */
  readonly maxBytes: number;
  /** How long something stays that nothing uses, in milliseconds. Default 30 days. */
  readonly maxAgeMs: number;
}

/** What the environment says of the cache. */
export interface CacheSettings {
  /** False under `KILN_CACHE=off`, `0` or `false`. */
  readonly enabled: boolean;
  readonly limits: CacheLimits;
}

/**
 * Reads `KILN_CACHE`, `KILN_CACHE_MAX_BYTES` (`500MB`, `2GiB`) and `KILN_CACHE_MAX_AGE` (`12h`, `7d`).
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a value that means nothing.
 */
export function cacheSettings(env: Readonly<Record<string, string | undefined>>): CacheSettings {
  const bytes = env["KILN_CACHE_MAX_BYTES"] ?? "";
  const age = env["KILN_CACHE_MAX_AGE"] ?? "";
  return {
    enabled: isEnabled(env["KILN_CACHE"] ?? ""),
    limits: {
      maxBytes: bytes === "" ? 5e9 : parseSize("KILN_CACHE_MAX_BYTES", bytes),
      maxAgeMs: age === "" ? 30 * 86_400_000 : parseDuration("KILN_CACHE_MAX_AGE", age),
    },
  };
}

function isEnabled(text: string): boolean {
  const value = text.toLowerCase();
  if (["off", "0", "false"].includes(value)) return false;
  if (["", "on", "1", "true"].includes(value)) return true;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `KILN_CACHE ${text}: neither on nor off`, {
    hint: "Set it to off to build without the index, or unset it.",
  });
}
