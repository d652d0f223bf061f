import type { Stat } from "../../gen/fsutil/types/stat_pb.js";

/** What kind of file something is. */
export type FileType =
  | "file"
  | "directory"
  | "symlink"
  | "block-device"
  | "character-device"
  | "fifo"
  | "socket"
  | "unknown";

/** A file as the daemon describes it. */
export interface FileInfo {
  /** Name in its directory, or the path that was asked for. */
  readonly path: string;
  readonly type: FileType;
  /** The twelve bits that `chmod` takes. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; 0 for directories. */
  readonly size: bigint;
  /** Nanoseconds since 1970. */
  readonly modTimeNs: bigint;
  /** Target of a symlink; else `undefined`. */
  readonly linkTarget: string | undefined;
  readonly deviceMajor: bigint;
  readonly deviceMinor: bigint;
  /** Extended attributes by name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

// Bits of Go's os.FileMode, in which modes travel.
const typeBits: readonly (readonly [bit: number, type: FileType])[] = [
  [0x80000000, "directory"],
  [0x08000000, "symlink"],
  [0x00200000, "character-device"],
  [0x04000000, "block-device"],
  [0x02000000, "fifo"],
  [0x01000000, "socket"],
  [0x00080000, "unknown"],
];
const setBits: readonly (readonly [bit: number, posix: number])[] = [
  [0x00800000, 0o4000],
  [0x00400000, 0o2000],
  [0x00100000, 0o1000],
];

/** Translates the daemon's description of a file. */
export function fileInfo(stat: Stat): FileInfo {
  let mode = stat.mode & 0o777;
  for (const [bit, posix] of setBits) if ((stat.mode & bit) !== 0) mode |= posix;
  const type = typeBits.find(([bit]) => (stat.mode & bit) !== 0)?.[1] ?? "file";
  return {
    path: stat.path,
    type,
    mode,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.size,
    modTimeNs: stat.modTime,
    linkTarget: type === "symlink" ? stat.linkname : undefined,
    deviceMajor: stat.devmajor,
    deviceMinor: stat.devminor,
    xattrs: new Map(Object.entries(stat.xattrs)),
  };
}
