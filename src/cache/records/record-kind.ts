/** What the index keeps, each kind in a directory of that name. `docs/cache.md` says what each is. */
export const recordKinds = [
  "builds",
  "results",
  "sources",
  "daemons",
  "trees",
  "prefixes",
  "shards",
  "volatile",
  "files",
] as const;

/** One of {@link recordKinds}. */
export type RecordKind = (typeof recordKinds)[number];

/** Which record. */
export interface RecordName {
  readonly kind: RecordKind;
  /** 1 to 80 characters of `a-z`, `0-9` and `-`, e.g. a digest's hexadecimal digits or a build's id. */
  readonly key: string;
}

/** Whether a text can be a record's key. A key is a file name on every system, and none has a dot. */
export function isRecordKey(text: string): boolean {
  return /^[a-z0-9-]{1,80}$/.test(text);
}
