import { createWriteStream } from "node:fs";
import type { Command } from "commander";
import {
  type CacheIndex,
  exportIndex,
  type IndexUse,
  indexUse,
  listBuilds,
  openUserCache,
  type PruneResult,
  pruneIndex,
  type VerifyResult,
  verifyIndex,
} from "../../engine/cache-tools.js";
import { parseCount, parseDuration, parseSize } from "../../engine/quantities.js";
import { KilnError } from "../../errors.js";
import type { StoredBuild } from "../../model/build-record.js";
import { cleanText } from "../clean-text.js";
import { confirm } from "../confirm.js";
import { exitCodes } from "../exit-codes.js";
import { withInterrupt } from "../interrupt.js";
import { formatBytes, formatDuration } from "../progress/frame.js";
import { table } from "../table.js";

interface JsonFlags {
  readonly json?: boolean;
}

/** Adds `kiln cache ls|du|prune|verify|export`. */
export function addCacheCommand(program: Command): void {
  const cache = program
    .command("cache")
    .description("what earlier builds left on this machine for later ones");
  addList(cache);
  addDiskUsage(cache);
  addPrune(cache);
  addVerify(cache);
  addExport(cache);
}

function addList(cache: Command): void {
  cache
    .command("ls")
    .description("list builds that were made from here, newest first")
    .option("--limit <n>", "only the newest so many")
    .option("--json", "as JSON")
    .action(async (flags: JsonFlags & { readonly limit?: string }) => {
      const limit = flags.limit === undefined ? undefined : parseCount("--limit", flags.limit);
      const builds = (await listBuilds(openUserCache())).slice(0, limit);
      process.stdout.write(flags.json === true ? `${JSON.stringify(builds)}\n` : storedBuildTable(builds));
    });
}

function addDiskUsage(cache: Command): void {
  cache
    .command("du")
    .description("show how much there is of what")
    .option("--json", "as JSON")
    .action((flags: JsonFlags) =>
      withInterrupt(async (signal) => {
        const index = openUserCache();
        const use = await indexUse(index, { signal });
        if (flags.json === true) {
          process.stdout.write(`${JSON.stringify({ dir: index.dir, ...use, limits: index.limits })}\n`);
          return;
        }
        process.stdout.write(indexUseTable(use));
        process.stdout.write(
          `${formatBytes(use.bytes)} in ${countOf(use.records, "record")}; kept are ${boundsOf(index.limits)}\n`,
        );
      }),
    );
}

interface PruneFlags extends JsonFlags {
  readonly maxBytes?: string;
  readonly maxAge?: string;
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

function addPrune(cache: Command): void {
  cache
    .command("prune")
    .description("remove what is beyond bounds, least recently used first")
    .option("--max-bytes <size>", "what may stay, e.g. 2GB (default: KILN_CACHE_MAX_BYTES, or 5GB)")
    .option(
      "--max-age <duration>",
      "how long unused things stay, e.g. 7d (default: KILN_CACHE_MAX_AGE, or 30d)",
    )
    .option("-a, --all", "everything but what was used within the hour and a build may be at")
    .option("--dry-run", "say what would go, and remove nothing")
    .option("-f, --force", "do not ask")
    .option("--json", "as JSON")
    .action((flags: PruneFlags) =>
      withInterrupt(async (signal) => {
        if (flags.all === true && (flags.maxBytes ?? flags.maxAge) !== undefined) {
          throw usage("--all goes with neither --max-bytes nor --max-age", "Leave one of them out.");
        }
        const index = openUserCache();
        const bounds = {
          maxBytes:
            flags.maxBytes === undefined ? index.limits.maxBytes : parseSize("--max-bytes", flags.maxBytes),
          maxAgeMs:
            flags.maxAge === undefined ? index.limits.maxAgeMs : parseDuration("--max-age", flags.maxAge),
        };
        const dryRun = flags.dryRun === true;
        const what = flags.all === true ? "Remove all" : `Keep ${boundsOf(bounds)}, and remove the rest`;
        if (!dryRun && flags.force !== true && !(await confirm(`${what} of ${index.dir}?`, { signal }))) {
          process.stderr.write("nothing was removed\n");
          return;
        }
        const chosen = flags.all === true ? { maxBytes: 0, maxAgeMs: 0 } : bounds;
        const result = await pruneIndex(index, { ...chosen, dryRun, signal });
        if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...result, dryRun })}\n`);
        else printPruned(result, dryRun);
        if (result.failed > 0) process.exitCode = exitCodes.failed;
      }),
    );
}

function printPruned({ removed, freedBytes, failed }: PruneResult, dryRun: boolean): void {
  if (removed.length > 0) {
    process.stdout.write(
      table(
        ["KIND", "RECORDS", "SIZE"],
        removed.map(({ kind, records, bytes }) => [kind, String(records), formatBytes(bytes)]),
      ),
    );
  }
  const records = removed.reduce((sum, one) => sum + one.records, 0);
  const [freed, gone] = dryRun ? ["would be freed", "to remove"] : ["freed", "removed"];
  process.stderr.write(`${formatBytes(freedBytes)} ${freed}, ${countOf(records, "record")} ${gone}\n`);
  if (failed > 0) process.stderr.write(`${countOf(failed, "record")} could not be removed\n`);
}

function addVerify(cache: Command): void {
  cache
    .command("verify")
    .description("read everything and look for damage; exits with 1 if there is any left")
    .option("--repair", "get what is damaged out of the way; builds make it again")
    .option("--json", "as JSON")
    .action((flags: JsonFlags & { readonly repair?: boolean }) =>
      withInterrupt(async (signal) => {
        const repair = flags.repair === true;
        const result = await verifyIndex(openUserCache(), { repair, signal });
        if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...result, repair })}\n`);
        else process.stdout.write(describeVerification(result, repair));
        if (result.damaged.some(({ repaired }) => !repaired)) process.exitCode = exitCodes.failed;
      }),
    );
}

/** What a verification found, a line for each damaged thing and one at the end. */
export function describeVerification(result: VerifyResult, repair: boolean): string {
  const { checked, bytes, damaged, leftovers } = result;
  const lines = damaged.map(
    ({ path, problem, repaired }) => `${cleanText(path)}: ${problem}${repaired ? " (repaired)" : ""}\n`,
  );
  const left =
    leftovers === 0
      ? ""
      : `, ${countOf(leftovers, "leftover")} of killed processes${repair ? " removed" : ""}`;
  const found = damaged.length === 0 ? "no damage" : `${damaged.length} damaged`;
  return `${lines.join("")}${countOf(checked, "record")}, ${formatBytes(bytes)}: ${found}${left}\n`;
}

interface ExportFlags extends JsonFlags {
  readonly output: string;
}

function addExport(cache: Command): void {
  cache
    .command("export")
    .description("write all records as lines of JSON, for bug reports and other programs")
    .option("-o, --output <file>", "- for standard output", "-")
    .option("--json", "print the counts as JSON on standard output")
    .action((flags: ExportFlags) =>
      withInterrupt(async (signal) => {
        const index = openUserCache();
        if (flags.output === "-") {
          if (flags.json === true)
            throw usage("--output - and --json both want standard output", "Give a file.");
          await exportIndex(index, process.stdout, { signal });
          return;
        }
        const written = await exportToFile(index, flags.output, signal);
        if (flags.json === true) process.stdout.write(`${JSON.stringify(written)}\n`);
        else {
          const skipped = written.skipped === 0 ? "" : `, ${written.skipped} left out`;
          process.stderr.write(`exported ${countOf(written.records, "record")}${skipped}\n`);
        }
      }),
    );
}

async function exportToFile(index: CacheIndex, path: string, signal: AbortSignal) {
  const file = createWriteStream(path);
  try {
    const written = await exportIndex(index, file, { signal });
    await new Promise<void>((resolve, reject) => {
      file.once("error", reject);
      file.end(resolve);
    });
    return written;
  } catch (error) {
    file.destroy();
    if (signal.aborted || !(error instanceof Error)) throw error;
    throw new KilnError("ERR_KILN_OUTPUT_UNWRITABLE", `cannot write ${path}: ${error.message}`, {
      cause: error,
    });
  }
}

/** Stored builds as a table. */
export function storedBuildTable(builds: readonly StoredBuild[]): string {
  return table(
    ["REF", "STARTED", "OUTCOME", "TOOK", "STEPS", "NAME", "OUTPUTS"],
    builds.map((build) => [
      build.ref,
      new Date(build.startedAt).toISOString().slice(0, 19),
      build.verified ? "up to date" : build.outcome,
      formatDuration(build.durationMs),
      stepsOf(build),
      build.name,
      build.outputs.map(({ type, target }) => `${type}:${target}`).join(",") || "-",
    ]),
  );
}

function stepsOf({ steps }: StoredBuild): string {
  const cached = steps.filter(({ outcome }) => outcome === "cached").length;
  const ran = steps.filter(({ outcome }) => ["ran", "failed", "canceled"].includes(outcome)).length;
  return `${ran} ran, ${cached} cached`;
}

/** What an index holds, as a table. */
export function indexUseTable({ kinds }: IndexUse): string {
  return table(
    ["KIND", "RECORDS", "SIZE", "LEAST RECENTLY USED", "LAST USED"],
    kinds.map(({ kind, records, bytes, oldest, newest }) => [
      kind,
      String(records),
      formatBytes(bytes),
      new Date(oldest).toISOString().slice(0, 19),
      new Date(newest).toISOString().slice(0, 19),
    ]),
  );
}

function boundsOf({ maxBytes, maxAgeMs }: CacheIndex["limits"]): string {
  const hours = maxAgeMs / 3_600_000;
  const age = hours >= 48 ? `${Number((hours / 24).toFixed(1))} days` : `${Number(hours.toFixed(2))} hours`;
  return `${formatBytes(maxBytes)} of what was used within ${age}`;
}

function countOf(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

function usage(problem: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", problem, { hint });
}
