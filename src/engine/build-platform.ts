import { KilnError } from "../errors.js";
import type { DaemonFacts } from "../model/daemon.js";
import { normalizePlatform, type Platform, parsePlatform } from "../oci/platform.js";

/** A platform as a build's options have it. */
export function platformAsked(wanted: string | Platform): Platform {
  return typeof wanted === "string" ? parsePlatform(wanted) : normalizePlatform(wanted);
}

/** The platform that a daemon builds for if none is asked for: its first Linux. */
export function ownPlatform({ workers }: DaemonFacts): Platform | undefined {
  return workers.flatMap(({ platforms }) => platforms).find(({ os }) => os === "linux");
}

/** The platform asked for, else the daemon's own. Throws `ERR_KILN_UNSUPPORTED` if it has none. */
export function choosePlatform(wanted: string | Platform | undefined, facts: DaemonFacts): Platform {
  const platform = wanted === undefined ? ownPlatform(facts) : platformAsked(wanted);
  if (platform !== undefined) return platform;
  throw new KilnError("ERR_KILN_UNSUPPORTED", `the daemon at ${facts.address} offers no Linux platform`, {
    hint: "Name the platform to build for.",
  });
}
