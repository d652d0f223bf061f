/**
 * What one path of a scanned tree puts into an image. Times are no part of it; where they count, `modTime` is asked for
 * separately.
 */
export interface ManifestEntry {
  /** Relative to the tree's root, forward slashes, clean, never empty. */
  readonly path: string;
  /** Bits of Go's `os.FileMode` as an unsigned 32-bit number, as they are sent: see `FileMode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a regular file, else 0. */
  readonly size: number;
  /** sha256 of a regular file's content in hex, else empty. A hard link has that of its file. */
  readonly sha256: string;
  /** A symlink's target, for a hard link the path of the tree's first link, else empty. */
  readonly linkname: string;
  /** Nanoseconds since the Unix epoch, as on disk. */
  readonly modTime: bigint;
  readonly devmajor: number;
  readonly devminor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array> | undefined;
}
