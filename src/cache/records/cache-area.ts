/** A file or directory of the cache that comes and goes as a whole. */
export interface CacheItem {
  readonly name: string;
  readonly path: string;
  /** Of all its files. */
  readonly bytes: number;
  /** When it was last used or written, in milliseconds since 1970: the time at which it was last changed. */
  readonly usedAt: number;
}

/** A part of the cache directory that counts and is pruned with the index. */
export interface CacheArea {
  /** What its items are called in sums. */
  readonly kind: string;
  /** Directory, on the same file system, for what goes: items are renamed into it before they are removed. */
  readonly scratch: string;
  /** How long an item stays after it was used, whatever the bounds, in milliseconds. */
  readonly graceMs: number;
  /** What is there, in no order. */
  items(): AsyncIterable<CacheItem>;
  /** Reads an item whole; gives what is wrong with it, `undefined` if nothing is. */
  check(item: CacheItem): Promise<string | undefined>;
}
