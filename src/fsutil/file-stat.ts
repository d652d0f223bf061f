/**
 * What the packet protocol says about one path of a tree. Plain data; `Stat` of fsutil, without its 64-bit
 * integers where a number is exact.
 */
export interface FileStat {
  /** Relative to the tree's root, forward slashes, clean, never empty. */
  readonly path: string;
  /** Bits of Go's `os.FileMode` as an unsigned 32-bit number, see {@link FileMode}. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes, for a hard link those of its file; 0 for directories. */
  readonly size: number;
  /** Nanoseconds since the Unix epoch. */
  readonly modTime: bigint;
  /** A symlink's target as written on disk, for a hard link the path of the tree's first link, else empty. */
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
  /** Extended attributes by full name (`user.mime_type`); `undefined` when there are none or none were read. */
  readonly xattrs: ReadonlyMap<string, Uint8Array> | undefined;
}
