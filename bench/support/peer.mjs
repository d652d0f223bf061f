// The command line that Kiln is measured against: Debian's docker and docker-buildx.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages, PACKAGE_SETS } from "../../dist/provision/index.js";
import { measuredRun } from "./measured-run.mjs";

/** `docker buildx build`, with a configuration of its own. */
export async function buildx({ prefix }) {
  const { root, versions } = await ensurePackages(PACKAGE_SETS.peerTools, { prefix });
  const config = join(prefix, "bench", "docker-config");
  mkdirSync(config, { recursive: true });
  const plugins = [join(root, "usr/libexec/docker/cli-plugins")];
  writeFileSync(join(config, "config.json"), JSON.stringify({ cliPluginsExtraDirs: plugins }));
  return {
    version: versions["docker-buildx"],
    build({ socket }, args, { timeoutMs } = {}) {
      const env = {
        ...{ PATH: process.env.PATH, HOME: config, DOCKER_CONFIG: config, DOCKER_CLI_HINTS: "false" },
        DOCKER_HOST: `unix://${socket}`,
      };
      const whole = ["buildx", "build", "--progress=plain", ...args];
      return measuredRun(join(root, "usr/bin/docker"), whole, { env, timeoutMs });
    },
  };
}
