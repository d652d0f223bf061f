import { join } from "node:path";
import type { RecordKind } from "./record-kind.js";

/** Where what is in an index's directory. */
export interface IndexPlaces {
  readonly dir: string;
  /** Files under way, named `MARK.RANDOM` by the process that writes them. */
  readonly scratch: string;
  /** What was found damaged. */
  readonly damaged: string;
  /** Content-addressed files, named by the hexadecimal digits of their sha256. */
  readonly blobs: string;
  /** Last changed when the index was last pruned by itself. */
  readonly pruned: string;
  /** The directory of a kind's records, one file each: a flat one is listed twice as fast as one split in 256. */
  records(kind: RecordKind): string;
}

/** The places of the index in a cache directory. Another layout of them would be another `v1`. */
export function indexPlaces(cacheDir: string): IndexPlaces {
  const dir = join(cacheDir, "index", "v1");
  return {
    dir,
    scratch: join(dir, "new"),
    damaged: join(dir, "damaged"),
    blobs: join(dir, "blobs", "sha256"),
    pruned: join(dir, "pruned"),
    records: (kind) => join(dir, kind),
  };
}
