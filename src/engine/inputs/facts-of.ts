import { builderVersion as builderVersionOf } from "../../image/builder-version.js";
import { randomId } from "../../internal/random-id.js";
import type { BaseFact, Facts } from "../../model/facts.js";
import type { Platform } from "../../oci/platform.js";
import type { Gathered } from "./gather.js";

/** The facts of a build whose bases are known. */
export function factsOf(
  { inputs, found, secrets, caBundles, builderVersion, force, sourceDateEpoch }: Gathered,
  platform: Platform,
  bases: ReadonlyMap<string, BaseFact>,
): Facts {
  return {
    platform,
    bases,
    builderVersion: builderVersionOf(builderVersion).id,
    trees: inputs.treeFacts,
    files: found.files,
    listings: found.listings,
    secrets: secrets.facts,
    frontends: new Map(),
    force,
    caBundle: caBundles.common,
    caBundles: caBundles.byStep,
    sourceDateEpoch,
    localUniqueId: randomId(),
  };
}
