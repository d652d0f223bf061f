// The engine that benchmarks measure on: one of their own, so that its cache can be emptied at will.

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
import { Client } from "../../dist/solver/index.js";

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
  const engine = await engineUp({ prefix: own, kind: "modern", mirror: registry.host });
  const client = await Client.connect(engine.address);
  return {
    address: engine.address,
    socket: engine.socket,
    client,
    prefix,
    description: `Docker ${engine.dockerVersion} (${engine.goVersion})`,
    registry: registry.host,
    /** Empties the engine's build cache. */
    async forgetAll() {
      await client.prune({ all: true });
    },
    async stop() {
      await client.close();
      await engineDown({ prefix: own, kind: "modern", purge: true });
      if (!registry.reused) await registryDown({ prefix });
    },
  };
}
