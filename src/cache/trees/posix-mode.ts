const S_IFMT = 0o170000;

/** Whether an `st_mode` is a directory's. */
export function isDirectory(mode: number): boolean {
  return (mode & S_IFMT) === 0o040000;
}

/** Whether an `st_mode` is a symlink's. */
export function isSymlink(mode: number): boolean {
  return (mode & S_IFMT) === 0o120000;
}

/** Whether an `st_mode` is a regular file's, or a socket's, which travels as an empty file. */
export function isRegular(mode: number): boolean {
  return (mode & S_IFMT) === 0o100000 || (mode & S_IFMT) === 0o140000;
}
