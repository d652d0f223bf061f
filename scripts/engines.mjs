// Starts, stops and shows the engines, the registry and the base images that the tests use.
// Usage: node scripts/engines.mjs up|down|status
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { prepare } from "./prepare.mjs";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const prefix = join(root, ".kiln");
const environmentFile = join(prefix, "test-env.json");

/** What the base images are called in the test registry, which stands in for Docker Hub: as users write them. */
const baseNames = {
  busybox: ["busybox:1.36", "busybox:latest"],
  debian: ["debian:bookworm-slim"],
  // One root under all these names: its Python is Debian's 3.11.
  python: [
    "python:3.13-slim",
    "python:3.10.17-slim-bookworm",
    "python:3.11.12-slim-bookworm",
    "python:3.12.10-slim-bookworm",
    "python:3.13.3-slim-bookworm",
    "python:3.14.2-slim-bookworm",
  ],
  node: ["node:22-bookworm-slim", "node:22.12.0-bookworm-slim", "node:22.21.1-bookworm-slim"],
};

/** Sets everything up, reusing what runs; returns what was started by this call. */
export async function enginesUp({ onProgress, signal }) {
  const provision = await load();
  const common = { prefix, onProgress, signal };
  const started = [];
  const registry = await provision.registryUp(common);
  if (!registry.reused) started.push("registry");
  const engines = [];
  for (const kind of ["modern", "older"]) {
    const settings = { "fixed-cidr": bridgeQuarter(kind) };
    const engine = await provision.engineUp({ ...common, kind, mirror: registry.host, settings });
    if (!engine.reused) started.push(kind);
    engines.push({
      name: kind,
      address: engine.address,
      dockerVersion: engine.dockerVersion,
      goVersion: engine.goVersion,
    });
  }
  const layouts = {
    busybox: await provision.busyboxLayout(common),
    debian: await provision.debianLayout(common),
  };
  // Both lie upon Debian's.
  const [python, node] = await Promise.all([provision.pythonLayout(common), provision.nodeLayout(common)]);
  Object.assign(layouts, { python, node });
  for (const [layout, names] of Object.entries(baseNames)) {
    for (const name of names) {
      onProgress?.({ phase: "push", message: `pushing ${name} to the test registry` });
      await provision.pushLayout(layouts[layout], registry.host, `library/${name}`);
    }
  }
  mkdirSync(prefix, { recursive: true });
  writeFileSync(environmentFile, JSON.stringify({ engines, registry: registry.host, layouts }, undefined, 2));
  return started;
}

/** Stops what a call of {@link enginesUp} started. */
export async function enginesDown(started) {
  const provision = await load();
  for (const name of started) {
    if (name === "registry") await provision.registryDown({ prefix });
    else await provision.engineDown({ prefix, kind: name });
  }
  if (started.length > 0) rmSync(environmentFile, { force: true });
}

/**
 * The addresses that an engine gives its steps. All share Docker's default bridge, and none knows of the others': of the
 * whole network they would hand out the same ones.
 */
export function bridgeQuarter(owner) {
  const [, network = "000011AC", , , , , , mask = "0000FFFF"] =
    readFileSync("/proc/net/route", "utf8")
      .split("\n")
      .map((line) => line.split("\t"))
      .find(([name]) => name === "docker0") ?? [];
  // The kernel writes them in the order of bytes of the machine, which is little-endian wherever Docker runs.
  const number = (hex) => Buffer.from(hex, "hex").readUInt32LE();
  const size = (2 ** 32 - number(mask)) / 4;
  const start = Buffer.alloc(4);
  start.writeUInt32BE(number(network) + ["modern", "classic", "older", "bench"].indexOf(owner) * size);
  return `${start.join(".")}/${32 - Math.log2(size)}`;
}

/** Progress on one line a change, fit for a log. */
export function printProgress() {
  let last = "";
  return ({ message, done, total }) => {
    const line = total === undefined ? message : `${message} (${(done ?? 0) + 1}/${total})`;
    if (line !== last) console.log(`  ${line}`);
    last = line;
  };
}

function load() {
  return import(pathToFileURL(join(root, "dist", "provision", "index.js")).href);
}

if (process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === import.meta.url) {
  const [command] = process.argv.slice(2);
  prepare(root);
  const provision = await load();
  if (command === "up") {
    const started = await enginesUp({ onProgress: printProgress() });
    console.log(started.length === 0 ? "all was up already" : `started: ${started.join(", ")}`);
  } else if (command === "down") {
    await enginesDown(["modern", "older", "classic", "registry"]);
  } else if (command === "status") {
    console.log(
      JSON.stringify(
        [...(await provision.engineStatus({ prefix })), await provision.registryStatus({ prefix })],
        undefined,
        2,
      ),
    );
  } else {
    console.error("usage: node scripts/engines.mjs up|down|status");
    process.exitCode = 2;
  }
}
