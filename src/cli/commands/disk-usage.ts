import type { Command } from "commander";
import type { CacheRecord } from "../../engine/daemon-records.js";
import { parseDuration } from "../../engine/quantities.js";
import { cacheFilterHelp, parseCacheFilter } from "../cache-filter.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";
import { formatBytes } from "../progress/frame.js";
import { table } from "../table.js";

interface DiskUsageFlags extends ConnectFlags {
  readonly filter: readonly string[];
  readonly usedWithin?: string;
  readonly json?: boolean;
}

/** Adds `kiln du`. */
export function addDiskUsageCommand(program: Command): void {
  const command = program
    .command("du")
    .description("show the daemon's build cache, the largest records first")
    .option("--filter <filter>", cacheFilterHelp, collect, [])
    .option("--used-within <duration>", "only what was used within e.g. 24h (BuildKit 0.22)")
    .option("--json", "as JSON");
  addConnectFlags(command).action((flags: DiskUsageFlags) =>
    withInterrupt(async (signal) => {
      const filter = flags.filter.map(parseCacheFilter);
      const usedWithinMs =
        flags.usedWithin === undefined ? undefined : parseDuration("--used-within", flags.usedWithin);
      const usage = await withEngine(flags, async (engine) => {
        const client = await engine.client();
        return client.diskUsage({ ...(filter.length === 0 ? {} : { filter }), usedWithinMs, signal });
      });
      if (flags.json === true) {
        process.stdout.write(`${JSON.stringify(usage)}\n`);
        return;
      }
      const { records, size, reclaimable } = usage;
      process.stdout.write(cacheTable([...records].sort((a, b) => b.size - a.size)));
      process.stdout.write(
        `${formatBytes(size)} in ${records.length} records, ${formatBytes(reclaimable)} can be pruned\n`,
      );
    }),
  );
}

/** Cache records as a table. */
export function cacheTable(records: readonly CacheRecord[]): string {
  return table(
    ["ID", "TYPE", "SIZE", "LAST USED", "STATE", "DESCRIPTION"],
    records.map((record) => [
      record.id,
      record.type,
      formatBytes(record.size),
      (record.lastUsedAt ?? record.createdAt)?.toISOString().slice(0, 19) ?? "-",
      stateOf(record),
      record.description,
    ]),
  );
}

function stateOf({ inUse, shared, mutable }: CacheRecord): string {
  const states = [inUse ? "in-use" : "", shared ? "shared" : "", mutable ? "mutable" : ""];
  return states.filter((state) => state !== "").join(",") || "-";
}

/** Gathers an option that may be given several times. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}
