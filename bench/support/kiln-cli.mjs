import { join } from "node:path";
import { measuredRun } from "./measured-run.mjs";

const main = join(import.meta.dirname, "..", "..", "dist", "cli", "main.js");

/** `kiln build` on an engine's address. */
export function kilnCli({ address }) {
  return {
    build: (args) =>
      measuredRun(process.execPath, [main, "build", "--host", address, "--progress=plain", ...args]),
  };
}
