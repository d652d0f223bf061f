import { KilnError } from "../errors.js";
import { Control } from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import { type CacheFilter, encodeCacheFilters } from "./cache-filter.js";
import { type CacheRecord, cacheRecordFromPb } from "./cache-record.js";
import { isFrom } from "./docker-versions.js";

/** What {@link diskUsage} may be told. */
export interface DiskUsageOptions {
  /** Records to which one of these applies; default: all. */
  readonly filter?: readonly CacheFilter[] | undefined;
  /** Only records that were last used within so many milliseconds. BuildKit 0.22. */
  readonly usedWithinMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A daemon's build cache. */
export interface DiskUsage {
  readonly records: readonly CacheRecord[];
  /** Bytes of all `records`. */
  readonly size: number;
  /** Bytes of the records that pruning can free: neither in use nor shared. */
  readonly reclaimable: number;
}

/** What {@link prune} may be told. Nothing given: everything that is unused and not the daemon's own. */
export interface PruneOptions {
  /** Only records to which one of these applies. */
  readonly filter?: readonly CacheFilter[] | undefined;
  /** Also the daemon's internal records and frontend images. Default false. */
  readonly all?: boolean | undefined;
  /** Keep what was used within so many milliseconds. */
  readonly keepMs?: number | undefined;
  /** Bytes of cache that are kept in any case, also against `minFreeSpace`. */
  readonly reservedSpace?: number | undefined;
  /** The most bytes of cache to keep. BuildKit 0.17. */
  readonly maxUsedSpace?: number | undefined;
  /** Bytes of the disk that are to be free: cache goes until they are. BuildKit 0.17. */
  readonly minFreeSpace?: number | undefined;
  /** Called for each record as it goes. If it throws, the prune stops and rejects with that. */
  readonly onRecord?: ((record: CacheRecord) => void) | undefined;
  /** Stops the daemon's work; what is gone by then stays gone. */
  readonly signal?: AbortSignal | undefined;
}

/** What a prune removed. */
export interface PruneResult {
  readonly records: readonly CacheRecord[];
  /** Bytes of the removed records. */
  readonly size: number;
}

/** A connection and what is known of the daemon behind it: a `Client`. */
export interface CacheControlTarget {
  readonly connection: Connection;
  readonly facts: (options: { readonly signal?: AbortSignal | undefined }) => Promise<DaemonFacts>;
}

/**
 * The records of a daemon's build cache (`Control.DiskUsage`).
 *
 * Rejects with `ERR_KILN_UNKNOWN_OPTION`, `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNSUPPORTED` where the daemon is
 * known to be too old for an option that it would pass over, with `RpcError`, or with the signal's reason.
 */
export async function diskUsage(
  target: CacheControlTarget,
  options: DiskUsageOptions = {},
): Promise<DiskUsage> {
  const call = "diskUsage()";
  checkOptions(call, options, ["filter", "usedWithinMs", "signal"]);
  const filter = encodeCacheFilters(call, options.filter);
  const ageLimit = nanoseconds(call, "usedWithinMs", options.usedWithinMs);
  const { signal } = options;
  if (ageLimit > 0n) refuseOlder(await target.facts({ signal }), "0.22", "usedWithinMs");
  const control = createClient(Control, target.connection);
  const { record } = await control.diskUsage({ filter, ageLimit }, { signal });
  const records = record.map(cacheRecordFromPb);
  return {
    records,
    size: total(records),
    reclaimable: total(records.filter(({ inUse, shared }) => !inUse && !shared)),
  };
}

/**
 * Removes records of a daemon's build cache (`Control.Prune`). Rejects as {@link diskUsage} does.
 */
export async function prune(target: CacheControlTarget, options: PruneOptions = {}): Promise<PruneResult> {
  const call = "prune()";
  checkOptions(call, options, [
    "filter",
    "all",
    "keepMs",
    "reservedSpace",
    "maxUsedSpace",
    "minFreeSpace",
    "onRecord",
    "signal",
  ]);
  const { signal, onRecord, all } = options;
  if (all !== undefined && typeof all !== "boolean")
    throw wrongArgument(call, "all must be a boolean", "Leave it out for false.");
  const request = {
    filter: encodeCacheFilters(call, options.filter),
    all: all === true,
    keepDuration: nanoseconds(call, "keepMs", options.keepMs),
    reservedSpace: bytes(call, "reservedSpace", options.reservedSpace),
    maxUsedSpace: bytes(call, "maxUsedSpace", options.maxUsedSpace),
    minFreeSpace: bytes(call, "minFreeSpace", options.minFreeSpace),
  };
  for (const name of ["maxUsedSpace", "minFreeSpace"] as const) {
    if (request[name] > 0n) refuseOlder(await target.facts({ signal }), "0.17", name);
  }
  const records: CacheRecord[] = [];
  for await (const removed of createClient(Control, target.connection).prune(request, { signal })) {
    const record = cacheRecordFromPb(removed);
    records.push(record);
    onRecord?.(record);
  }
  return { records, size: total(records) };
}

function total(records: readonly CacheRecord[]): number {
  return records.reduce((sum, { size }) => sum + size, 0);
}

// About 285 years: beyond it the nanoseconds of the protocol overflow.
const longestMs = 9e12;

function nanoseconds(call: string, name: string, ms: number | undefined): bigint {
  if (ms === undefined) return 0n;
  if (typeof ms === "number" && ms > 0 && ms <= longestMs) return BigInt(Math.ceil(ms * 1e6));
  throw notPositive(call, `${name} must be a number of milliseconds above 0`);
}

function bytes(call: string, name: string, value: number | undefined): bigint {
  if (value === undefined) return 0n;
  if (Number.isSafeInteger(value) && value > 0) return BigInt(value);
  throw notPositive(call, `${name} must be a whole number of bytes above 0`);
}

function notPositive(call: string, problem: string): KilnError {
  return wrongArgument(call, problem, "Leave it out for no such limit: the daemon reads 0 as that, too.");
}

/** A daemon passes over fields that it does not know: a prune would then remove more than it was told to. */
function refuseOlder(facts: DaemonFacts, needed: string, option: string): void {
  if (isFrom(facts.buildkitVersion, needed) !== false) return;
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `the daemon at ${facts.address} does not know ${option}: BuildKit ${facts.buildkitVersion}, needs ${needed} or newer`,
    { hint: "Leave out the option, or use a newer BuildKit." },
  );
}
