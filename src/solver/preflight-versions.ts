import { KilnError } from "../errors.js";
import type { DaemonFacts } from "../model/daemon.js";
import { cacheOptionVersions } from "./caches/cache-options.js";
import { isFrom } from "./docker-versions.js";
import { dockerfileOptionVersions } from "./frontend/dockerfile-options.js";
import type { FrontendRequest } from "./frontend/frontend-solve.js";
import type { SolveSettings } from "./solve-settings.js";

/**
 * Refuses settings that came with a newer BuildKit than the daemon's: it would take no notice of them.
 *
 * Throws `ERR_KILN_UNSUPPORTED`. Lets everything through where the daemon's version is not known.
 */
export function preflightVersions(
  facts: DaemonFacts,
  settings: SolveSettings,
  frontend?: FrontendRequest,
): void {
  for (const [option, version] of neededVersions(settings, frontend)) {
    if (isFrom(facts.buildkitVersion, version) !== false) continue;
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `the daemon at ${facts.address} does not know ${option} (BuildKit ${facts.buildkitVersion}; needs ${version} or newer)`,
      { hint: "Leave out the option, or build on a newer BuildKit." },
    );
  }
}

function neededVersions(
  settings: SolveSettings,
  frontend: FrontendRequest | undefined,
): readonly (readonly [option: string, version: string])[] {
  const needs: [string, string][] = [];
  for (const output of settings.outputs ?? []) {
    const options: Readonly<Record<string, unknown>> = { ...output.options };
    if (options["rewriteTimestamp"] === true) needs.push(["rewriteTimestamp", "0.13"]);
    if (options["ociArtifact"] !== undefined) needs.push(["ociArtifact", "0.19"]);
    if (options["mode"] === "delete") needs.push(['localDir\'s mode "delete"', "0.31"]);
    if (options["platformSplit"] !== undefined) needs.push(["platformSplit", "0.12"]);
  }
  const provenance = settings.attestations?.provenance;
  if (typeof provenance === "object" && provenance.version === "v1") {
    needs.push(["provenance of version v1", "0.23"]);
  }
  if (settings.compatibilityVersion !== undefined) needs.push(["compatibilityVersion", "0.30"]);
  if (settings.proxyNetwork === true) needs.push(["proxyNetwork", "0.31"]);
  if (settings.chooseOutputs !== undefined) needs.push(["chooseOutputs", "0.21"]);
  if (settings.verifySource !== undefined) needs.push(["verifySource", "0.26"]);
  for (const entitlement of settings.entitlements ?? []) {
    if (/^device(?:=|$)/.test(entitlement)) needs.push(["the entitlement device", "0.20"]);
  }
  for (const cache of [...(settings.cacheExports ?? []), ...(settings.cacheImports ?? [])]) {
    for (const key of Object.keys(cache)) {
      const version = cacheOptionVersions[`${cache.type}.${key}`];
      if (version !== undefined) needs.push([`${key} of a ${cache.type} cache`, version]);
    }
  }
  const attrs = frontend?.frontend === "dockerfile.v0" ? frontend.attrs : {};
  if (attrs["requestid"] === "frontend.lint") needs.push(["lint of the Dockerfile frontend", "0.14"]);
  for (const key of Object.keys(attrs)) {
    const version = dockerfileOptionVersions[key];
    if (version !== undefined) needs.push([`${key} of the Dockerfile frontend`, version]);
  }
  return needs;
}
