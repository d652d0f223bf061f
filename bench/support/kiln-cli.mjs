import { join } from "node:path";
import { measuredRun } from "./measured-run.mjs";

const main = join(import.meta.dirname, "..", "..", "dist", "cli", "main.js");

/** `kiln build`. */
export const kilnCli = {
  build: ({ address }, args, { env = {}, timeoutMs } = {}) =>
    measuredRun(process.execPath, [main, "build", "--host", address, "--progress=plain", ...args], {
      env: { ...process.env, ...env },
      timeoutMs,
    }),
};
