import { createHash } from "node:crypto";
import type { CacheIndex } from "../../cache/records/cache-index.js";
import type { BaseFact, RegistryBaseFact } from "../../model/facts.js";
import type { Needs, RegistryBaseNeed } from "../../model/needs.js";
import { formatPlatform, type Platform } from "../../oci/platform.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import type { SourceLock } from "../../solver/source-lock/source-lock.js";
import type { LocalInputs } from "../inputs/gather-inputs.js";
import { type Mirrors, mirrored } from "../registries/mirrors.js";
import { lockedDigest, resolveLayoutBase } from "./given-base.js";

/** What {@link knownBases} goes by. */
export interface KnownBasesOptions {
  readonly index: CacheIndex;
  readonly platform: Platform;
  readonly inputs: LocalInputs;
  readonly mirrors: Mirrors;
  readonly settings: Pick<SolveSettings, "pull" | "sourcePolicy" | "verifySource">;
  readonly lock: SourceLock | undefined;
}

/**
 * A chain's bases without asking anyone: those on this machine, and those whose digest is given, by the chain or by the
 * lock, once a daemon has told their config. `undefined` if there is one that has to be asked for.
 */
export async function knownBases(
  needs: Needs,
  options: KnownBasesOptions,
): Promise<ReadonlyMap<string, BaseFact> | undefined> {
  const { index, platform, inputs, settings } = options;
  const bases = new Map<string, BaseFact>();
  for (const need of needs.bases) {
    const local = inputs.layouts.get(need.id);
    if (local !== undefined) {
      bases.set(need.id, await resolveLayoutBase(local, platform));
      continue;
    }
    // A policy may refuse today what it allowed, or send it elsewhere.
    if (need.kind !== "registry" || settings.sourcePolicy !== undefined) return undefined;
    if (settings.verifySource !== undefined) return undefined;
    const digest = givenDigest(need, options);
    if (digest === undefined) return undefined;
    const fact = await index.read("sources", sourceKey(need, digest, options));
    if (!isRegistryFact(fact) || fact.digest !== digest) return undefined;
    bases.set(need.id, fact);
  }
  return bases;
}

/** Keeps what a daemon told of bases, for {@link knownBases}. */
export async function keepBases(
  needs: Needs,
  bases: ReadonlyMap<string, BaseFact>,
  options: Pick<KnownBasesOptions, "index" | "platform" | "mirrors">,
): Promise<void> {
  for (const need of needs.bases) {
    const fact = bases.get(need.id);
    if (need.kind !== "registry" || fact?.kind !== "registry") continue;
    await options.index.write("sources", sourceKey(need, fact.digest, options), fact);
  }
}

function givenDigest(
  need: RegistryBaseNeed,
  { settings, lock, platform }: KnownBasesOptions,
): string | undefined {
  const own = /@(sha256:[0-9a-f]{64})$/.exec(need.ref)?.[1];
  if (own !== undefined) return own;
  const anew = settings.pull === "always" || (need.refresh === true && settings.pull !== "locked");
  return anew || lock === undefined ? undefined : lockedDigest(need, { platform, lock });
}

function sourceKey(
  need: RegistryBaseNeed,
  digest: string,
  { platform, mirrors }: Pick<KnownBasesOptions, "platform" | "mirrors">,
): string {
  const mirror = mirrored(need, mirrors);
  const at = mirror?.kind === "registry" ? mirror.ref : "";
  return hash(["source v1", need.ref, digest, formatPlatform(platform), at]);
}

function hash(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function isRegistryFact(value: unknown): value is RegistryBaseFact {
  if (!isRecord(value) || value["kind"] !== "registry" || !isRecord(value["config"])) return false;
  return typeof value["ref"] === "string" && typeof value["digest"] === "string";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
