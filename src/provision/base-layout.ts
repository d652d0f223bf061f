import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { withLock } from "./lock.js";
import type { Machine } from "./machine.js";
import { type ProvisionOptions, tellWait } from "./packages.js";

/** Seconds since 1970 that files of base images are clamped to, so that they come out alike. */
export const baseEpoch = 315_532_802;

/** The PATH of Debian's images. */
export const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Makes an OCI layout under the prefix, unless it is there; returns its directory.
 *
 * `recipe` is what it is made by: another recipe is another directory, so that no older layout passes for it.
 */
export async function layoutOnce(
  name: string,
  recipe: unknown,
  options: ProvisionOptions,
  make: (dir: string) => Promise<void>,
): Promise<string> {
  const hex = createHash("sha256").update(JSON.stringify(recipe)).digest("hex");
  const dir = join(options.prefix, "images", `${name}-${hex.slice(0, 12)}`);
  const isThere = (): Promise<boolean> =>
    stat(join(dir, "index.json")).then(
      () => true,
      () => false,
    );
  if (await isThere()) return dir;
  await withLock(
    `image ${dir}`,
    async () => {
      if (!(await isThere())) await make(dir);
    },
    { signal: options.signal, onWait: () => tellWait(options, `the ${name} image`) },
  );
  return dir;
}

/** OCI's name of a machine's processor. */
export function architectureOf(machine: Machine): string {
  return { x64: "amd64", ia32: "386" }[machine.arch] ?? machine.arch;
}
