import type { Command } from "commander";
import { formatPlatform } from "../../engine/platforms.js";
import type { DaemonFacts } from "../../model/daemon.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";

/** Adds `kiln workers`. */
export function addWorkersCommand(program: Command): void {
  const command = program
    .command("workers")
    .description("show the daemon's workers, platforms and devices")
    .option("--json", "as JSON");
  addConnectFlags(command).action((flags: ConnectFlags & { readonly json?: boolean }) =>
    withInterrupt(async (signal) => {
      const facts = await withEngine(flags, (engine) => engine.facts({ signal }));
      process.stdout.write(flags.json === true ? `${factsToJson(facts)}\n` : describe(facts));
    }),
  );
}

function factsToJson(facts: DaemonFacts): string {
  return JSON.stringify({
    ...facts,
    llbCaps: [...facts.llbCaps].sort(),
    frontendCaps: [...facts.frontendCaps].sort(),
  });
}

function describe(facts: DaemonFacts): string {
  const version = facts.buildkitVersion ?? "of a version it does not tell";
  const docker = facts.dockerVersion === undefined ? "" : `, Docker ${facts.dockerVersion}`;
  const lines = [`${facts.address}  BuildKit ${version}${docker}, ${facts.store} image store`];
  for (const worker of facts.workers) {
    lines.push(`worker ${worker.id}`, `  platforms  ${worker.platforms.map(formatPlatform).join(" ")}`);
    if (worker.devices.length === 0) lines.push("  devices    none");
    for (const device of worker.devices) {
      lines.push(`  device     ${device.name}${device.autoAllow ? "" : " (needs the device entitlement)"}`);
    }
    for (const [key, value] of Object.entries(worker.labels).sort())
      lines.push(`  label      ${key}=${value}`);
  }
  return `${lines.join("\n")}\n`;
}
