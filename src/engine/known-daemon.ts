import { createHash } from "node:crypto";
import type { CacheIndex } from "../cache/records/cache-index.js";
import { fromJsonData, toJsonData } from "../internal/rich-json.js";
import type { DaemonFacts } from "../model/daemon.js";

/** What a daemon told of itself the last time that it was asked. */
export interface KnownDaemon {
  readonly facts: DaemonFacts;
  /** When it told: milliseconds since 1970. */
  readonly at: number;
}

/** What the index has of the daemon at an address. */
export async function knownDaemon(address: string, index: CacheIndex): Promise<KnownDaemon | undefined> {
  const stored = await index.read("daemons", recordKey(address));
  if (stored === undefined) return undefined;
  try {
    const known = fromJsonData(stored);
    return isKnown(known) && known.facts.address === address ? known : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps what a daemon has told of itself. */
export async function keepDaemon(facts: DaemonFacts, index: CacheIndex): Promise<void> {
  const known: KnownDaemon = { facts, at: Date.now() };
  await index.write("daemons", recordKey(facts.address), toJsonData(known));
}

function recordKey(address: string): string {
  return createHash("sha256")
    .update(JSON.stringify(["daemon v2", address]))
    .digest("hex");
}

function isKnown(value: unknown): value is KnownDaemon {
  if (typeof value !== "object" || value === null) return false;
  const [facts, at]: unknown[] = ["facts", "at"].map((key): unknown => Reflect.get(value, key));
  if (typeof at !== "number" || typeof facts !== "object" || facts === null) return false;
  return Array.isArray(Reflect.get(facts, "workers")) && Reflect.get(facts, "llbCaps") instanceof Set;
}
