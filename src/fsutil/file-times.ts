/**
 * A time as Node's `utimes` family takes it, from nanoseconds since the epoch.
 *
 * Node hands times on with microseconds (Linux stores the rest as zeros); before 1970 it is milliseconds, as
 * it takes negative numbers for "now" unless they come as a `Date`.
 */
export function toNodeTime(nanoseconds: bigint): number | Date {
  if (nanoseconds < 0n) return new Date(Number(nanoseconds / 1_000_000n));
  const seconds = nanoseconds / 1_000_000_000n;
  const micros = (nanoseconds % 1_000_000_000n) / 1000n;
  if (micros === 0n) return Number(seconds);
  // The quarter keeps the double's rounding from falling below the microsecond, which is then cut off.
  return Number(seconds) + (Number(micros) + 0.25) / 1e6;
}
