import type { StoredBuild } from "../../model/build-record.js";
import type { CacheIndex } from "./cache-index.js";
import { listRecords } from "./list-records.js";
import { readRecord } from "./read-record.js";
import { isRecordKey } from "./record-kind.js";

/**
 * The builds that an index knows, newest first; what is no build is left out. Works on an index that is switched off, too.
 */
export async function listBuilds(index: CacheIndex): Promise<readonly StoredBuild[]> {
  const builds: StoredBuild[] = [];
  for await (const { name: key, path } of listRecords(index.places.records("builds"))) {
    const found = isRecordKey(key) ? await readRecord(path, { kind: "builds", key }) : undefined;
    if (found?.state !== "whole" || found.type !== "json") continue;
    const value: unknown = JSON.parse(found.payload.toString("utf8"));
    if (isStoredBuild(value)) builds.push(value);
  }
  return builds.sort((a, b) => b.startedAt - a.startedAt);
}

/** Whether a value has what every reader of builds goes by. What is in the index was checked to be as it was written. */
function isStoredBuild(value: unknown): value is StoredBuild {
  if (typeof value !== "object" || value === null) return false;
  const fields: Readonly<Record<string, unknown>> = { ...value };
  return (
    ["ref", "name", "lineage", "outcome", "daemon"].every((name) => typeof fields[name] === "string") &&
    ["startedAt", "durationMs", "sentBytes"].every((name) => typeof fields[name] === "number") &&
    ["steps", "outputs", "fingerprints"].every((name) => Array.isArray(fields[name]))
  );
}
