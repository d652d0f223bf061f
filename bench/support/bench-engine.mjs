// The engines that benchmarks measure on: a new one for every run, with nothing in its cache.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import {
  busyboxLayout,
  engineDown,
  engineUp,
  pushLayout,
  registryDown,
  registryUp,
} from "../../dist/provision/index.js";
import { bridgeQuarter } from "../../scripts/engines.mjs";

const kept = join(import.meta.dirname, "..", "..", ".kiln");
mkdirSync(kept, { recursive: true });
// As the kernel lists mounts.
const prefix = realpathSync(kept);
const engines = join(prefix, "bench", "engines");
const registryHome = join(prefix, "bench", "registry-home");

// Steps of benchmarks need no network: the machine's packet filter, and what other engines put there, is left alone.
const settings = { iptables: false, ip6tables: false, "fixed-cidr": bridgeQuarter("bench") };

/**
 * Prepares engines, with a registry of their own that also stands in for Docker Hub. `fresh` stops the engine before and
 * gives a new one; `stop` ends and removes all that this call started.
 *
 * What an engine held stays on disk until `stop`, unless it was told to be `small`: ext4 looks at every inode that was
 * deleted in the last minutes each time it makes a file, so that a build is five times slower after a hundred thousand
 * files were removed. Emptying one engine's cache before every run would measure that.
 */
export async function benchEngines() {
  mkdirSync(engines, { recursive: true });
  mkdirSync(join(prefix, "packages"), { recursive: true });
  await forget(registryHome);
  // All prefixes share the unpacked packages.
  const folder = (path) => {
    mkdirSync(path, { recursive: true });
    symlinkSync(join(prefix, "packages"), join(path, "packages"));
    return path;
  };
  const registry = await registryUp({ prefix: folder(registryHome) });
  await pushLayout(await busyboxLayout({ prefix }), registry.host, "library/busybox:1.36");
  let count = Math.max(0, ...readdirSync(engines).map(Number));
  let running;
  const end = async () => {
    if (running === undefined) return;
    await engineDown({ prefix: running.home, kind: "modern" });
    if (running.small) remove(running.home);
    running = undefined;
  };
  return {
    prefix,
    registry: registry.host,
    /** The base image's name in the registry, and the same with its digest. */
    base: await baseOf(registry.host),
    /** An engine that has built nothing. `small` = what it will hold is few files. */
    async fresh({ small }) {
      await end();
      count += 1;
      running = { home: folder(join(engines, String(count))), small };
      const options = { prefix: running.home, kind: "modern", mirror: registry.host, settings };
      const { address, socket, dockerVersion, goVersion } = await engineUp(options);
      spawnSync("sync");
      return { address, socket, description: `Docker ${dockerVersion} (${goVersion})` };
    },
    async stop() {
      await end();
      for (const name of readdirSync(engines)) {
        const home = join(engines, name);
        await engineDown({ prefix: home, kind: "modern" });
        remove(home);
      }
      await forget(registryHome);
    },
  };
}

/** Stops the registry, also one that a killed benchmark left behind, and removes its images. */
async function forget(prefix) {
  if (existsSync(prefix)) await registryDown({ prefix });
  rmSync(prefix, { recursive: true, force: true });
}

/** Node's own way takes a gigabyte for a million files. */
export function remove(folder) {
  const { status, stderr } = spawnSync("rm", ["-rf", folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`cannot remove ${folder}: ${stderr}`);
}

async function baseOf(host) {
  const tagged = `${host}/library/busybox:1.36`;
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const answer = await fetch(`http://${host}/v2/library/busybox/manifests/1.36`, { headers: { accept } });
  return { tagged, pinned: `${tagged}@${answer.headers.get("docker-content-digest")}` };
}
