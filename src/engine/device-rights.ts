import { KilnError } from "../errors.js";
import { isCdiName } from "../image/step-options.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { DeviceNeed } from "../model/needs.js";

/**
 * The entitlements of a build with those for the devices that its steps name: only for devices that the daemon does not
 * give out by itself.
 *
 * Throws `ERR_KILN_UNSUPPORTED`, with what the daemon has, for a device that it does not have, and for a model in place of
 * a CDI name: nothing chooses a worker by it yet.
 */
export function withDevices(
  entitlements: readonly string[] | undefined,
  needs: readonly DeviceNeed[],
  facts: DaemonFacts,
): readonly string[] | undefined {
  if (needs.length === 0) return entitlements;
  const devices = facts.workers.flatMap((worker) => worker.devices);
  const rights = new Set(entitlements);
  for (const { gpu, title, location } of needs) {
    const refuse = (why: string): KilnError => {
      const inventory = devices.map(({ name }) => name).join(", ");
      return new KilnError("ERR_KILN_UNSUPPORTED", `${title}: ${why}`, {
        hint:
          inventory === ""
            ? `The daemon at ${facts.address} offers no devices; they need BuildKit 0.20 and a CDI specification there.`
            : `Name a device of the daemon at ${facts.address}: ${inventory}.`,
        location,
      });
    };
    if (!isCdiName(gpu)) throw refuse(`no worker can be chosen by the model "${gpu}" yet`);
    const found = devices.filter(({ name }) => name === gpu || isAllOf(gpu, name));
    if (found.length === 0) throw refuse(`the daemon has no device ${gpu}`);
    if (found.some(({ autoAllow }) => autoAllow === false)) rights.add(`device=${gpu}`);
  }
  return [...rights];
}

function isAllOf(gpu: string, device: string): boolean {
  const kind = /^(.*)=all$/.exec(gpu)?.[1];
  return kind !== undefined && device.startsWith(`${kind}=`);
}
