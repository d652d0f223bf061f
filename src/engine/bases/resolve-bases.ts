import { KilnError } from "../../errors.js";
import type { BaseFact } from "../../model/facts.js";
import type { Needs, RegistryBaseNeed } from "../../model/needs.js";
import type { ImageConfig } from "../../oci/image-config.js";
import type { Platform } from "../../oci/platform.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import type { Connection } from "../../rpc/connection.js";
import type { Session } from "../../session/session.js";
import type { Gateway, ResolvedImage } from "../../solver/gateway/gateway.js";
import { withGateway } from "../../solver/gateway/with-gateway.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import { resolveLockedImage } from "../../solver/source-lock/resolve-image.js";
import {
  emptySourceLock,
  type LockedImage,
  mergeSourceLocks,
  type PullMode,
  type SourceLock,
} from "../../solver/source-lock/source-lock.js";
import { baseErrorFrom } from "../../solver/translate-solve-error.js";
import type { LocalInputs } from "../inputs/gather-inputs.js";
import { type Mirrors, mirrored } from "../registries/mirrors.js";
import { nameOfBase, resolveLayoutBase } from "./given-base.js";

/** What {@link resolveBases} works with. */
export interface ResolveBasesOptions {
  readonly connection: Connection;
  readonly session: Session;
  readonly platform: Platform;
  readonly inputs: LocalInputs;
  /** The build's rules about sources: a base is one. */
  readonly policy: Pick<SolveSettings, "sourcePolicy" | "verifySource">;
  readonly signal: AbortSignal | undefined;
  /** What registry bases are locked to; see {@link lockOfBases}. Default nothing. */
  readonly lock?: SourceLock | undefined;
  /** When bases are resolved by their names. Default `missing`. */
  readonly pull?: PullMode | undefined;
  readonly mirrors: Mirrors;
}

/**
 * Resolves a chain's bases to digest and config: registry references by the daemon (it knows its mirrors and
 * the session's credentials), OCI layouts from disk. A base that is locked is resolved by its digest, for which a daemon
 * that has the image asks no registry.
 *
 * Rejects with the reason and the place of the call that named the base; with `ERR_KILN_SOURCE_UNLOCKED` under
 * `pull: "locked"` for one that the lock does not hold.
 */
export async function resolveBases(
  needs: Needs,
  options: ResolveBasesOptions,
): Promise<ReadonlyMap<string, BaseFact>> {
  const { connection, session, platform, inputs, policy, signal } = options;
  const facts = new Map<string, BaseFact>();
  const remote: RegistryBaseNeed[] = [];
  for (const need of needs.bases) {
    const found = inputs.layouts.get(need.id);
    if (found === undefined) {
      if (need.kind === "registry") remote.push(need);
      continue;
    }
    facts.set(need.id, await resolveLayoutBase(found, platform));
  }
  if (remote.length > 0) {
    await withGateway(
      connection,
      async (gateway) => {
        for (const need of remote) facts.set(need.id, await resolveRemote(gateway, need, options));
      },
      { session, policy, signal },
    );
  }
  return facts;
}

/**
 * The lock with the registry bases as they were resolved: what a build stores for the next one's {@link resolveBases}.
 * Bases that name a digest need no entry.
 */
export function lockOfBases(
  needs: Needs,
  bases: ReadonlyMap<string, BaseFact>,
  options: { readonly platform: Platform; readonly lock?: SourceLock | undefined },
): SourceLock {
  const sources = needs.bases.flatMap((need): readonly LockedImage[] => {
    const fact = bases.get(need.id);
    const name = need.kind === "registry" ? nameOfBase(need, options.platform) : undefined;
    return fact?.kind !== "registry" || name === undefined ? [] : [{ ...name, digest: fact.digest }];
  });
  return mergeSourceLocks(options.lock ?? emptySourceLock, { version: 1, sources });
}

async function resolveRemote(
  gateway: Gateway,
  need: RegistryBaseNeed,
  { platform, lock = emptySourceLock, pull: wanted = "missing", mirrors }: ResolveBasesOptions,
): Promise<BaseFact> {
  const { location } = need;
  const pull = need.refresh === true && wanted === "missing" ? "always" : wanted;
  const mirror = mirrored(need, mirrors);
  const at = mirror?.kind === "registry" ? mirror.ref : undefined;
  let resolved: ResolvedImage;
  try {
    const name = nameOfBase(need, platform);
    resolved = await (name === undefined
      ? gateway.resolveImageConfig(at ?? need.ref, { platform })
      : resolveLockedImage(gateway, name, { platform, lock, pull, location, at }));
  } catch (error) {
    throw baseErrorFrom(error, at === undefined ? need.ref : `${need.ref} (at the mirror ${at})`, location);
  }
  return {
    kind: "registry",
    ref: formatReference({ ...parseReference(resolved.ref), digest: resolved.digest }),
    digest: resolved.digest,
    config: parseConfig(resolved.config, need),
  };
}

function parseConfig(bytes: Uint8Array, need: RegistryBaseNeed): ImageConfig {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ImageConfig;
  } catch (error) {
    throw new KilnError("ERR_KILN_PROTOCOL", `the config of ${need.ref} is not JSON`, {
      cause: error,
      location: need.location,
    });
  }
}
