/**
 * Bits of Go's `os.FileMode`, the form in which modes travel in the packet protocol. The low nine bits are
 * the permissions as in POSIX; everything above differs from `st_mode`.
 */
export const FileMode = {
  DIRECTORY: 0x80000000,
  SYMLINK: 0x08000000,
  DEVICE: 0x04000000,
  NAMED_PIPE: 0x02000000,
  SOCKET: 0x01000000,
  SETUID: 0x00800000,
  SETGID: 0x00400000,
  CHARACTER_DEVICE: 0x00200000,
  STICKY: 0x00100000,
  IRREGULAR: 0x00080000,
  /** All bits that say what kind of file it is; none of them set is a regular file. */
  TYPE: 0x8f280000,
  PERMISSIONS: 0o777,
} as const;

const S_IFMT = 0o170000;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;

const TYPE_BITS: ReadonlyMap<number, number> = new Map([
  [0o100000, 0],
  [0o040000, FileMode.DIRECTORY],
  [0o120000, FileMode.SYMLINK],
  [0o060000, FileMode.DEVICE],
  [0o020000, FileMode.DEVICE | FileMode.CHARACTER_DEVICE],
  [0o010000, FileMode.NAMED_PIPE],
  [0o140000, FileMode.SOCKET],
]);

/** Translates POSIX `st_mode` into the unsigned 32-bit Go file mode. An unknown type becomes `IRREGULAR`. */
export function fileModeFromPosix(stMode: number): number {
  let mode = (stMode & FileMode.PERMISSIONS) | (TYPE_BITS.get(stMode & S_IFMT) ?? FileMode.IRREGULAR);
  if ((stMode & S_ISUID) !== 0) mode |= FileMode.SETUID;
  if ((stMode & S_ISGID) !== 0) mode |= FileMode.SETGID;
  if ((stMode & S_ISVTX) !== 0) mode |= FileMode.STICKY;
  return mode >>> 0;
}

/** The twelve bits that `chmod` takes (permissions, setuid, setgid, sticky) of a Go file mode. */
export function chmodBits(mode: number): number {
  let bits = mode & FileMode.PERMISSIONS;
  if ((mode & FileMode.SETUID) !== 0) bits |= S_ISUID;
  if ((mode & FileMode.SETGID) !== 0) bits |= S_ISGID;
  if ((mode & FileMode.STICKY) !== 0) bits |= S_ISVTX;
  return bits;
}

/** Whether a Go file mode is a directory's. */
export function isDirectoryMode(mode: number): boolean {
  return (mode & FileMode.DIRECTORY) !== 0;
}

/** Whether a Go file mode is a symlink's. */
export function isSymlinkMode(mode: number): boolean {
  return (mode & FileMode.SYMLINK) !== 0;
}

/** Whether a Go file mode is a regular file's, i.e. whether the receiver may ask for content. */
export function isRegularMode(mode: number): boolean {
  return (mode & FileMode.TYPE) === 0;
}

/** 0755 for directories and for what its owner may execute, else 0644, nothing above; symlinks stay. */
export function normalizedMode(mode: number): number {
  if (isSymlinkMode(mode)) return mode;
  const permissions = isDirectoryMode(mode) || (mode & 0o100) !== 0 ? 0o755 : 0o644;
  return ((mode & FileMode.TYPE) | permissions) >>> 0;
}
