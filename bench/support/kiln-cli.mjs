import { join } from "node:path";
import { measuredRun } from "./measured-run.mjs";

const main = join(import.meta.dirname, "..", "..", "dist", "cli", "main.js");

/** `kiln build`; `node` = the Node that runs it. Default: this machine's. */
export const kilnCli = {
  build: ({ address }, args, { env = {}, timeoutMs, node = process.execPath } = {}) =>
    measuredRun(node, [main, "build", "--host", address, "--progress=plain", ...args], {
      env: { ...process.env, ...env },
      timeoutMs,
    }),
};
