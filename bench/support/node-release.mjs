import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/** The program of a Node release that is not this machine's, by its major version: from the npm registry, once. */
export function nodeRelease(prefix, major) {
  const name = `node-${process.platform}-${process.arch}`;
  const dir = join(prefix, "bench", `node-${major}`);
  const program = join(dir, "node_modules", name, "bin", "node");
  if (existsSync(program)) return program;
  mkdirSync(dir, { recursive: true });
  const args = ["install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr, error } = spawnSync("npm", [...args, `${name}@${major}`], { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Node ${major} cannot be had: ${stderr.trim().split("\n").at(-1)}`);
  return program;
}

/** What a program of Node says of itself, and the seconds that it takes to run an empty program: the least of ten. */
export function emptyRun(program) {
  const version = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout.trim();
  const seconds = Array.from({ length: 10 }, () => {
    const from = performance.now();
    const { status } = spawnSync(program, ["--eval", "0"]);
    if (status !== 0) throw new Error(`${program} does not run`);
    return (performance.now() - from) / 1000;
  });
  return { version, seconds: Math.min(...seconds) };
}
