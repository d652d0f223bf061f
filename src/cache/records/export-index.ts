import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { CacheIndex } from "./cache-index.js";
import { listRecords } from "./list-records.js";
import { readRecord } from "./read-record.js";
import { isRecordKey, recordKinds } from "./record-kind.js";

/** What {@link exportIndex} wrote. */
export interface ExportedIndex {
  readonly records: number;
  /** Records that were left out: damaged, unreadable, or of a later Kiln. */
  readonly skipped: number;
}

/**
 * Writes all records to a stream, for bug reports and other programs, and leaves the stream open.
 *
 * Each record is a line of JSON: `{"kind", "key", "usedAt", "value"}`, or with the bytes as base64 in `bytes` in place of
 * `value`. `usedAt` is in milliseconds since 1970. Kinds come in the order of `recordKinds`, keys in the order of bytes.
 * Blobs are left out. Nothing counts as used by that. Works on an index that is switched off, too.
 *
 * Rejects with the stream's error or the signal's reason.
 */
export async function exportIndex(
  index: CacheIndex,
  target: NodeJS.WritableStream,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ExportedIndex> {
  const count = { records: 0, skipped: 0 };
  const { signal } = options;
  await pipeline(Readable.from(lines(index, count)), target, {
    end: false,
    ...(signal === undefined ? {} : { signal }),
  });
  return count;
}

async function* lines(index: CacheIndex, count: { records: number; skipped: number }): AsyncIterable<string> {
  for (const kind of recordKinds) {
    const files = [];
    for await (const file of listRecords(index.places.records(kind))) files.push(file);
    files.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name: key, path, usedAt } of files) {
      const found = isRecordKey(key) ? await readRecord(path, { kind, key }) : undefined;
      if (found?.state === "missing") continue;
      if (found?.state !== "whole") {
        count.skipped += 1;
        continue;
      }
      count.records += 1;
      const head = JSON.stringify({ kind, key, usedAt: Math.round(usedAt) }).slice(0, -1);
      // JSON goes out as it was written.
      yield found.type === "json"
        ? `${head},"value":${found.payload.toString("utf8")}}\n`
        : `${head},"bytes":"${found.payload.toString("base64")}"}\n`;
    }
  }
}
