import type { Plan } from "../../model/plan.js";
import type { Platform } from "../../oci/platform.js";
import type { Client } from "../../solver/client.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import { lockedDefinition, storeSourceLock } from "../../solver/source-lock/lock-sources.js";
import { emptySourceLock, type SourceLock } from "../../solver/source-lock/source-lock.js";

/**
 * A plan whose steps' own sources are pinned too, after its bases; writes the lock file if that has changed it.
 *
 * `lock` holds the bases as they were resolved; without one the plan stays as it is. Rejects as `lockedDefinition` does.
 */
export async function lockPlan(
  plan: Plan,
  options: {
    readonly client: Client;
    readonly settings: SolveSettings;
    readonly platform: Platform;
    readonly lock: SourceLock | undefined;
    /** The lock before the bases were resolved. */
    readonly before: SourceLock | undefined;
  },
): Promise<Plan> {
  const { client, platform, lock, before = emptySourceLock } = options;
  const { sourceLock, pull, credentials, secrets, ssh, sourcePolicy, signal } = options.settings;
  if (lock === undefined) return plan;
  const file = typeof sourceLock === "string" ? sourceLock : undefined;
  if (file !== undefined) await storeSourceLock(file, lock, { before, pull });
  if (plan.definition === undefined) return plan;
  const { definition } = await lockedDefinition(client, plan.definition, {
    ...{ lock: file ?? lock, pull, platform, credentials, secrets, ssh, sourcePolicy, signal },
  });
  return { ...plan, definition };
}
