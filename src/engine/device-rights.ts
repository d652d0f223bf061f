import { KilnError } from "../errors.js";
import { isCdiName } from "../image/step-options.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { DeviceNeed } from "../model/needs.js";

/**
 * The entitlements of a build with those for the devices that its steps name: only for devices that the daemon does not
 * give out by itself.
 *
 * Throws `ERR_KILN_UNSUPPORTED`, with what the daemon has, for a model in place of a CDI name: nothing chooses a worker
 * by it yet.
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
    if (!isCdiName(gpu)) {
      const inventory = devices.map(({ name }) => name).join(", ");
      throw new KilnError(
        "ERR_KILN_UNSUPPORTED",
        `${title}: no worker can be chosen by the model "${gpu}" yet`,
        {
          hint:
            inventory === ""
              ? `The daemon at ${facts.address} offers no devices.`
              : `Name a device of the daemon at ${facts.address}: ${inventory}.`,
          location,
        },
      );
    }
    const device = devices.find(({ name }) => name === gpu);
    if (device?.autoAllow === false) rights.add(`device=${gpu}`);
  }
  return [...rights];
}
