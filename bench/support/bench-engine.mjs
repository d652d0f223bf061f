// The engine that benchmarks measure on: one of their own, as new as wanted.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
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
const own = join(prefix, "bench");

/** Starts it, with a registry that stands in for Docker Hub; `stop` ends what this call started. */
export async function benchEngine() {
  mkdirSync(own, { recursive: true });
  mkdirSync(join(prefix, "packages"), { recursive: true });
  // Both prefixes unpack the same packages.
  if (!existsSync(join(own, "packages"))) symlinkSync(join(prefix, "packages"), join(own, "packages"));
  const registry = await registryUp({ prefix });
  await pushLayout(await busyboxLayout({ prefix }), registry.host, "library/busybox:1.36");
  const down = () => engineDown({ prefix: own, kind: "modern", purge: true });
  const up = () => engineUp({ prefix: own, kind: "modern", mirror: registry.host });
  const { address, socket, dockerVersion, goVersion } = await up();
  return {
    address,
    socket,
    prefix,
    description: `Docker ${dockerVersion} (${goVersion})`,
    registry: registry.host,
    /**
     * Puts a new engine in its place, with nothing in its cache. An emptied cache would not do: an engine goes on
     * removing what it forgot for a while, and gets slower with what its process has done.
     */
    async renew() {
      await down();
      await up();
      spawnSync("sync");
    },
    async stop() {
      await down();
      if (!registry.reused) await registryDown({ prefix });
    },
  };
}
