// What every script needs before it can do its work in a fresh clone: dependencies and a current build.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Installs dependencies and builds, each only if it is missing or out of date. Exits on failure. */
export function prepare(root) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Kiln needs Node 20.19 or newer, this is ${process.versions.node}.`);
    process.exit(2);
  }
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed) || newest(join(root, "package-lock.json")) > newest(installed)) {
    console.error("==> Installing dependencies (npm ci)");
    run(
      root,
      "npm",
      ["ci", "--no-audit", "--no-fund"],
      "Check that the npm registry can be reached, then try again.",
    );
  }
  const built = join(root, "dist", "cli", "main.js");
  if (!existsSync(built) || newestBelow(join(root, "src")) > newest(built)) {
    console.error("==> Building Kiln");
    run(
      root,
      "npm",
      ["run", "--silent", "build"],
      "The TypeScript sources do not compile: see the lines above.",
    );
  }
}

function run(cwd, command, args, hint) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (status === 0) return;
  console.error(
    `${command} ${args.join(" ")} failed${error === undefined ? "" : `: ${error.message}`}. ${hint}`,
  );
  process.exit(1);
}

function newest(path) {
  return statSync(path).mtimeMs;
}

function newestBelow(folder) {
  let latest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newestBelow(path) : newest(path));
  }
  return latest;
}
