import type { Command } from "commander";
import { parseDuration, parseSize } from "../../engine/quantities.js";
import { cacheFilterHelp, parseCacheFilter } from "../cache-filter.js";
import { cleanText } from "../clean-text.js";
import { confirm } from "../confirm.js";
import { addConnectFlags, type ConnectFlags, withEngine } from "../connect-flags.js";
import { withInterrupt } from "../interrupt.js";
import { formatBytes } from "../progress/frame.js";
import { collect } from "./disk-usage.js";

interface PruneFlags extends ConnectFlags {
  readonly filter: readonly string[];
  readonly all?: boolean;
  readonly keep?: string;
  readonly reservedSpace?: string;
  readonly maxUsedSpace?: string;
  readonly minFreeSpace?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Adds `kiln prune`. */
export function addPruneCommand(program: Command): void {
  const command = program
    .command("prune")
    .description("remove the daemon's build cache that nothing uses")
    .option("--filter <filter>", cacheFilterHelp, collect, [])
    .option("-a, --all", "also the daemon's internal records and frontend images")
    .option("--keep <duration>", "keep what was used within e.g. 24h")
    .option("--reserved-space <size>", "keep so much cache in any case, e.g. 10GB")
    .option("--max-used-space <size>", "remove cache beyond that size (BuildKit 0.17)")
    .option("--min-free-space <size>", "remove cache until so much of the disk is free (BuildKit 0.17)")
    .option("-f, --force", "do not ask")
    .option("--json", "as JSON, at the end");
  addConnectFlags(command).action((flags: PruneFlags) =>
    withInterrupt(async (signal) => {
      const filter = flags.filter.map(parseCacheFilter);
      const size = (name: string, text: string | undefined) =>
        text === undefined ? undefined : parseSize(name, text);
      const options = {
        ...(filter.length === 0 ? {} : { filter }),
        all: flags.all === true,
        keepMs: flags.keep === undefined ? undefined : parseDuration("--keep", flags.keep),
        reservedSpace: size("--reserved-space", flags.reservedSpace),
        maxUsedSpace: size("--max-used-space", flags.maxUsedSpace),
        minFreeSpace: size("--min-free-space", flags.minFreeSpace),
      };
      const result = await withEngine(flags, async (engine) => {
        const question = `Remove ${filter.length === 0 ? "all" : "the matching"} unused build cache of ${engine.address}?`;
        if (flags.force !== true && !(await confirm(question, { signal }))) return undefined;
        const client = await engine.client();
        return client.prune({
          ...options,
          signal,
          onRecord: ({ id, size: bytes, description }) => {
            if (flags.json === true) return;
            process.stdout.write(`${id}  ${formatBytes(bytes)}  ${cleanText(description)}\n`);
          },
        });
      });
      if (result === undefined) process.stderr.write("nothing was removed\n");
      else if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
      else {
        process.stderr.write(`${formatBytes(result.size)} freed, ${result.records.length} records removed\n`);
      }
    }),
  );
}
