import { KilnError } from "../errors.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { AttestationOptions } from "./attestation-options.js";
import { cacheOptionVersions } from "./cache-options.js";
import type { CacheOptions } from "./cache-transfer.js";
import { compareMajorMinor, parseMajorMinor } from "./docker-versions.js";
import type { Output } from "./outputs.js";

/** Options of a solve that the daemon lists no capability for. */
export interface VersionedUse extends CacheOptions {
  readonly outputs: readonly Output[];
  readonly attestations?: AttestationOptions | undefined;
  readonly compatibilityVersion?: number | undefined;
  readonly chooseOutputs?: unknown;
  readonly verifySource?: unknown;
  readonly entitlements?: readonly string[] | undefined;
}

/**
 * Refuses options that came with a newer BuildKit than the daemon's: it would take no notice of them.
 *
 * Throws `ERR_KILN_UNSUPPORTED`. Lets everything through where the daemon's version is not known.
 */
export function preflightVersions(facts: DaemonFacts, use: VersionedUse): void {
  const found = facts.buildkitVersion === undefined ? undefined : parseMajorMinor(facts.buildkitVersion);
  if (found === undefined) return;
  for (const [option, version] of neededVersions(use)) {
    const needed = parseMajorMinor(version);
    if (needed === undefined || compareMajorMinor(found, needed) >= 0) continue;
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `the daemon at ${facts.address} does not know ${option} (BuildKit ${facts.buildkitVersion}; needs ${version} or newer)`,
      { hint: "Leave out the option, or build on a newer BuildKit." },
    );
  }
}

function neededVersions(use: VersionedUse): readonly (readonly [option: string, version: string])[] {
  const needs: [string, string][] = [];
  for (const output of use.outputs) {
    const options: Readonly<Record<string, unknown>> = { ...output.options };
    if (options["rewriteTimestamp"] === true) needs.push(["rewriteTimestamp", "0.13"]);
    if (options["ociArtifact"] !== undefined) needs.push(["ociArtifact", "0.19"]);
    if (options["mode"] === "delete") needs.push(['localDir\'s mode "delete"', "0.31"]);
    if (options["platformSplit"] !== undefined) needs.push(["platformSplit", "0.12"]);
  }
  const provenance = use.attestations?.provenance;
  if (typeof provenance === "object" && provenance.version === "v1") {
    needs.push(["provenance of version v1", "0.23"]);
  }
  if (use.compatibilityVersion !== undefined) needs.push(["compatibilityVersion", "0.30"]);
  if (use.chooseOutputs !== undefined) needs.push(["chooseOutputs", "0.21"]);
  if (use.verifySource !== undefined) needs.push(["verifySource", "0.26"]);
  for (const entitlement of use.entitlements ?? []) {
    if (/^device(?:=|$)/.test(entitlement)) needs.push(["the entitlement device", "0.20"]);
  }
  for (const cache of [...(use.cacheExports ?? []), ...(use.cacheImports ?? [])]) {
    for (const key of Object.keys(cache)) {
      const version = cacheOptionVersions[`${cache.type}.${key}`];
      if (version !== undefined) needs.push([`${key} of a ${cache.type} cache`, version]);
    }
  }
  return needs;
}
