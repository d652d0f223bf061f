import type { StoredBuild } from "../../model/build-record.js";

/**
 * What the index has of a build, if it is one.
 *
 * The index tells damage and other formats by itself: this keeps data that is something else from being taken for a build.
 */
export function asStoredBuild(value: unknown): StoredBuild | undefined {
  return isStoredBuild(value) ? value : undefined;
}

function isStoredBuild(value: unknown): value is StoredBuild {
  return (
    isRecord(value) &&
    hasTexts(value, ["ref", "daemon", "lineage", "name", "outcome"]) &&
    hasNumbers(value, ["startedAt", "durationMs"]) &&
    isRecord(value["platform"]) &&
    hasTexts(value["platform"], ["os", "architecture"]) &&
    isListOf(
      value["steps"],
      (step) => hasTexts(step, ["id", "title", "outcome"]) && hasNumbers(step, ["index", "durationMs"]),
    ) &&
    isListOf(
      value["fingerprints"],
      (step) =>
        hasTexts(step, ["id", "title", "own", "chain"]) &&
        hasNumbers(step, ["index", "version"]) &&
        isListOf(step["inputs"], (input) => hasTexts(input, ["kind", "name", "value"])),
    )
  );
}

type Data = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOf(value: unknown, check: (item: Data) => boolean): boolean {
  return Array.isArray(value) && value.every((item) => isRecord(item) && check(item));
}

function hasTexts(value: Data, keys: readonly string[]): boolean {
  return keys.every((key) => typeof value[key] === "string");
}

function hasNumbers(value: Data, keys: readonly string[]): boolean {
  return keys.every((key) => typeof value[key] === "number");
}
