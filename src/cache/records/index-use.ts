import type { CacheIndex } from "./cache-index.js";
import { indexAreas } from "./index-areas.js";

/** How much of one kind there is. */
export interface KindUse {
  readonly kind: string;
  readonly records: number;
  readonly bytes: number;
  /** When the one that was used longest ago was used, in milliseconds since 1970. */
  readonly oldest: number;
  readonly newest: number;
}

/** How much an index holds. */
export interface IndexUse {
  /** Kinds of which there is something. */
  readonly kinds: readonly KindUse[];
  readonly records: number;
  /** Sizes of the files, as bounds count them; a file system takes more for small ones. */
  readonly bytes: number;
}

/** Counts what is in an index and the areas beside it. Rejects with the signal's reason alone. */
export async function indexUse(
  index: CacheIndex,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<IndexUse> {
  const kinds: KindUse[] = [];
  for (const { kind, items } of indexAreas(index)) {
    const use = { kind, records: 0, bytes: 0, oldest: Number.POSITIVE_INFINITY, newest: 0 };
    for await (const { bytes, usedAt } of items()) {
      use.records += 1;
      use.bytes += bytes;
      use.oldest = Math.min(use.oldest, usedAt);
      use.newest = Math.max(use.newest, usedAt);
    }
    options.signal?.throwIfAborted();
    if (use.records > 0) kinds.push(use);
  }
  return {
    kinds,
    records: kinds.reduce((sum, { records }) => sum + records, 0),
    bytes: kinds.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
