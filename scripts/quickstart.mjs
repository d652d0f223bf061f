// From a fresh clone to a built image: installs dependencies, builds Kiln, and hands over to `kiln quickstart`.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { prepare } from "./prepare.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
prepare(root);
const { status, signal } = spawnSync(
  process.execPath,
  ["dist/cli/main.js", "quickstart", ...process.argv.slice(2)],
  {
    stdio: "inherit",
  },
);
process.exitCode = signal === null ? (status ?? 1) : 130;
