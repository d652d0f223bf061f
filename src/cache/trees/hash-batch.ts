import { runAtOnce } from "../../internal/run-at-once.js";
import type { FileHasher, FileMark, HashedFile } from "./hash-file.js";
import type { EntryStat } from "./tree-builder.js";

const STAT_NUMBERS = 8;
const KINDS: readonly HashedFile["kind"][] = ["hashed", "other", "gone", "unsettled", "unreadable"];

/** Files for a thread to read: plain memory, as an object a file would cost more than reading it. */
export interface HashBatch {
  readonly kind: "hash";
  /** Absolute paths, joined by NUL. */
  readonly paths: string;
  readonly marks: Float64Array;
}

/** What came of a {@link HashBatch}, file by file. */
export interface HashedBatch {
  readonly kinds: Uint8Array;
  readonly stats: Float64Array;
  readonly mtimesNs: BigInt64Array;
  readonly bytesRead: Float64Array;
  readonly sha256: Uint8Array;
  /** System error codes of the files that cannot be read. */
  readonly codes: readonly (readonly [index: number, code: string])[];
}

/** Packs files for a thread. */
export function packBatch(
  files: readonly { readonly absolute: string; readonly mark: FileMark }[],
): HashBatch {
  const marks = new Float64Array(STAT_NUMBERS * files.length);
  for (const [index, { mark }] of files.entries()) {
    marks.set([mark.dev, mark.ino, mark.mode, mark.size, mark.mtimeMs, mark.ctimeMs], STAT_NUMBERS * index);
  }
  return { kind: "hash", paths: files.map(({ absolute }) => absolute).join("\0"), marks };
}

/** Reads the files of a batch, in a thread. */
export function hashBatch({ paths, marks }: HashBatch, hasher: FileHasher): HashedBatch {
  const absolutes = paths.split("\0");
  const count = absolutes.length;
  const kinds = new Uint8Array(count);
  const stats = new Float64Array(STAT_NUMBERS * count);
  const mtimesNs = new BigInt64Array(count);
  const bytesRead = new Float64Array(count);
  const sha256 = Buffer.alloc(32 * count);
  const codes: [number, string][] = [];
  for (const [index, absolute] of absolutes.entries()) {
    const result = runAtOnce(hasher.hash(absolute, statAt(marks, index)));
    kinds[index] = KINDS.indexOf(result.kind);
    if (result.kind === "unreadable") codes.push([index, result.code]);
    if (result.kind !== "hashed") continue;
    const { stat } = result;
    stats.set(
      [stat.dev, stat.ino, stat.mode, stat.size, stat.mtimeMs, stat.ctimeMs, stat.uid, stat.gid],
      STAT_NUMBERS * index,
    );
    mtimesNs[index] = result.mtimeNs;
    bytesRead[index] = result.bytesRead;
    sha256.write(result.sha256, 32 * index, "hex");
  }
  return { kinds, stats, mtimesNs, bytesRead, sha256, codes };
}

/** What came of one file of a batch. */
export function resultAt(batch: HashedBatch, index: number): HashedFile {
  const kind = KINDS[batch.kinds[index] ?? 0] ?? "gone";
  if (kind === "hashed") {
    return {
      kind,
      sha256: Buffer.from(batch.sha256.buffer, batch.sha256.byteOffset + 32 * index, 32).toString("hex"),
      stat: statAt(batch.stats, index),
      mtimeNs: batch.mtimesNs[index] ?? 0n,
      bytesRead: batch.bytesRead[index] ?? 0,
    };
  }
  if (kind !== "unreadable") return { kind };
  return { kind, code: batch.codes.find(([at]) => at === index)?.[1] ?? "EIO" };
}

function statAt(numbers: Float64Array, index: number): EntryStat {
  const at = STAT_NUMBERS * index;
  return {
    dev: numbers[at] ?? 0,
    ino: numbers[at + 1] ?? 0,
    mode: numbers[at + 2] ?? 0,
    size: numbers[at + 3] ?? 0,
    mtimeMs: numbers[at + 4] ?? 0,
    ctimeMs: numbers[at + 5] ?? 0,
    uid: numbers[at + 6] ?? 0,
    gid: numbers[at + 7] ?? 0,
  };
}
