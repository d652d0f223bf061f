import { createHash } from "node:crypto";
import { createReadStream, lstatSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { systemReason } from "../../fsutil/file-errors.js";
import { blobGraceMs } from "./blob-cache.js";
import type { CacheArea, CacheItem } from "./cache-area.js";
import type { CacheIndex } from "./cache-index.js";
import { listRecords } from "./list-records.js";
import { readRecord } from "./read-record.js";
import { isRecordKey, type RecordKind, recordKinds } from "./record-kind.js";

/** All that counts: the records by kind, `blobs`, what was set aside as `damaged`, and the areas beside the index. */
export function indexAreas(index: CacheIndex): readonly CacheArea[] {
  const { scratch, blobs, damaged } = index.places;
  return [
    ...recordKinds.map((kind) => recordArea(index, kind)),
    {
      kind: "blobs",
      scratch,
      graceMs: blobGraceMs,
      items: () => listRecords(blobs),
      check: checkBlob,
    },
    // Known to be damaged: nothing is wrong with its being here.
    { kind: "damaged", scratch, graceMs: 0, items: () => listRecords(damaged), check: async () => undefined },
    ...index.areas,
  ];
}

function recordArea(index: CacheIndex, kind: RecordKind): CacheArea {
  return {
    kind,
    scratch: index.places.scratch,
    graceMs: 0,
    items: () => listRecords(index.places.records(kind)),
    check: (item) => checkRecord(kind, item),
  };
}

async function checkRecord(kind: RecordKind, { name, path }: CacheItem): Promise<string | undefined> {
  if (!isRecordKey(name)) return "it has no record's name";
  const found = await readRecord(path, { kind, key: name });
  if (found.state === "damaged") return found.problem;
  return found.state === "unreadable" ? systemReason(found.error) : undefined;
}

async function checkBlob({ name, path }: CacheItem): Promise<string | undefined> {
  if (!/^[0-9a-f]{64}$/.test(name)) return "it has no blob's name";
  try {
    // A pipe would never end.
    if (!lstatSync(path).isFile()) return "it is no regular file";
    const hash = createHash("sha256");
    await pipeline(createReadStream(path), hash);
    return hash.digest("hex") === name ? undefined : "its content has another digest";
  } catch (error) {
    return systemReason(error);
  }
}
