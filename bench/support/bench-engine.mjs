// The engines that benchmarks measure on: a new one for every run, with nothing in its cache.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import {
  busyboxLayout,
  engineDown,
  engineUp,
  pushLayout,
  registryDown,
  registryUp,
} from "../../dist/provision/index.js";

const prefix = join(import.meta.dirname, "..", "..", ".kiln");
const engines = join(prefix, "bench", "engines");

/**
 * Prepares engines, with a registry that stands in for Docker Hub. `fresh` stops the engine before and gives a new one;
 * `stop` ends and removes all that this call started.
 *
 * What an engine held stays on disk until `stop`, unless it was told to be `small`: ext4 looks at every inode that was
 * deleted in the last minutes each time it makes a file, so that a build is five times slower after a hundred thousand
 * files were removed. Emptying one engine's cache before every run would measure that.
 */
export async function benchEngines() {
  mkdirSync(engines, { recursive: true });
  mkdirSync(join(prefix, "packages"), { recursive: true });
  const registry = await registryUp({ prefix });
  await pushLayout(await busyboxLayout({ prefix }), registry.host, "library/busybox:1.36");
  let count = readdirSync(engines).length;
  let running;
  const end = async () => {
    if (running === undefined) return;
    await engineDown({ prefix: running.home, kind: "modern", purge: running.small });
    running = undefined;
  };
  return {
    prefix,
    /** An engine that has built nothing. `small` = what it will hold is few files. */
    async fresh({ small }) {
      await end();
      count += 1;
      const home = join(engines, String(count));
      mkdirSync(home);
      // All prefixes share the unpacked packages.
      symlinkSync(join(prefix, "packages"), join(home, "packages"));
      const up = () => engineUp({ prefix: home, kind: "modern", mirror: registry.host });
      const { address, socket, dockerVersion, goVersion } = await up();
      running = { home, small };
      spawnSync("sync");
      return { address, socket, description: `Docker ${dockerVersion} (${goVersion})` };
    },
    async stop() {
      await end();
      for (const name of readdirSync(engines)) {
        const home = join(engines, name);
        if (existsSync(home)) await engineDown({ prefix: home, kind: "modern", purge: true });
        rmSync(home, { recursive: true, force: true });
      }
      if (!registry.reused) await registryDown({ prefix });
    },
  };
}
