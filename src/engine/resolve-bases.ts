import { KilnError } from "../errors.js";
import type { BaseFact } from "../model/facts.js";
import type { Needs, RegistryBaseNeed } from "../model/needs.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import { formatReference, parseReference } from "../oci/reference.js";
import type { Connection } from "../rpc/connection.js";
import type { Session } from "../session/session.js";
import type { Gateway } from "../solver/gateway/gateway.js";
import { withGateway } from "../solver/gateway/with-gateway.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import { baseErrorFrom } from "../solver/translate-solve-error.js";
import type { LocalInputs } from "./gather-inputs.js";

/** What {@link resolveBases} works with. */
export interface ResolveBasesOptions {
  readonly connection: Connection;
  readonly session: Session;
  readonly platform: Platform;
  readonly inputs: LocalInputs;
  /** The build's rules about sources: a base is one. */
  readonly policy: Pick<SolveSettings, "sourcePolicy" | "verifySource">;
  readonly signal: AbortSignal | undefined;
}

/**
 * Resolves a chain's bases to digest and config: registry references by the daemon (it knows its mirrors and
 * the session's credentials), OCI layouts from disk.
 *
 * Rejects with the reason and the place of the call that named the base.
 */
export async function resolveBases(
  needs: Needs,
  options: ResolveBasesOptions,
): Promise<ReadonlyMap<string, BaseFact>> {
  const { connection, session, platform, inputs, policy, signal } = options;
  const facts = new Map<string, BaseFact>();
  const remote: RegistryBaseNeed[] = [];
  for (const need of needs.bases) {
    if (need.kind === "registry") {
      remote.push(need);
      continue;
    }
    const found = inputs.layouts.get(need.id);
    if (found === undefined) continue;
    const image = await found.layout.image(need.ref, platform);
    facts.set(need.id, {
      kind: "oci-layout",
      store: found.store,
      digest: image.root.digest,
      config: image.config,
    });
  }
  if (remote.length > 0) {
    await withGateway(
      connection,
      async (gateway) => {
        for (const need of remote) facts.set(need.id, await resolveRemote(gateway, need, platform));
      },
      { session, policy, signal },
    );
  }
  return facts;
}

async function resolveRemote(
  gateway: Gateway,
  need: RegistryBaseNeed,
  platform: Platform,
): Promise<BaseFact> {
  let resolved: Awaited<ReturnType<Gateway["resolveImageConfig"]>>;
  try {
    resolved = await gateway.resolveImageConfig(need.ref, { platform });
  } catch (error) {
    throw baseErrorFrom(error, need.ref, need.location);
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
