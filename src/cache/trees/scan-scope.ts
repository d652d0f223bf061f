import { createHash } from "node:crypto";
import { realpathSync, statfsSync, statSync } from "node:fs";
import { basename } from "node:path";
import { KilnError } from "../../errors.js";
import { isMissing, unreadable } from "../../fsutil/file-errors.js";
import { TreeFilter } from "../../fsutil/tree-filter.js";
import { findXattrProgram } from "../../fsutil/xattrs.js";
import { ViewFlag } from "./stored-tree.js";

/** How entries of a scan are shown. */
export interface ScanView {
  /** `"keep"` (default) has modes as on disk; `"normalize"` 0755 and 0644, as {@link TreeViewOptions} has it. */
  readonly permissions?: "keep" | "normalize" | undefined;
  /** `"root"` (default) has every file as uid and gid 0; `"keep"` as on disk. */
  readonly ownership?: "root" | "keep" | undefined;
  /** `"keep"` makes modification times a part of the digest. Default `"drop"`. */
  readonly times?: "drop" | "keep" | undefined;
  /** `"auto"` (default) reads extended attributes where the program `getfattr` is installed; `"off"` never. */
  readonly xattrs?: "auto" | "off" | undefined;
}

/** A directory to scan, as `openTree` and `overlayTree` take it. */
export interface DirectoryScan extends ScanView {
  readonly kind: "dir";
  /** The directory, which may be a symlink to one. */
  readonly root: string;
  /** Patterns with `.dockerignore` rules. Directories that they leave out are not walked. */
  readonly exclude?: readonly string[] | undefined;
  /** Further regular files by their path in the tree; they take the place of what is there, and no pattern counts. */
  readonly files?: ReadonlyMap<string, string> | undefined;
}

/** One regular file to scan, as `singleFileTree` takes it. */
export interface FileScan extends ScanView {
  readonly kind: "file";
  /** The file, or a symlink to one. */
  readonly path: string;
  /** Its name in the tree. Default: the last component of `path`. */
  readonly name?: string | undefined;
}

/** What {@link scanTree} scans. */
export type ScanSource = DirectoryScan | FileScan;

/** A further file: its own absolute path; `undefined` for a directory above some. */
export type Overlaid = string | undefined;

/** Everything that decides what a scan finds, links resolved and patterns compiled. */
export interface ScanScope {
  /** The directory with a slash at its end; `undefined` when there is only one file. */
  readonly prefix: string | undefined;
  readonly exclude: readonly string[];
  readonly filter: TreeFilter | undefined;
  /** Further files and the directories above them, by directory and name. */
  readonly overlay: ReadonlyMap<string, ReadonlyMap<string, Overlaid>>;
  /** Bits of {@link ViewFlag}. */
  readonly view: number;
  /** The program that reads extended attributes. */
  readonly xattrProgram: string | undefined;
  /** How old a stat's times must be, in milliseconds, to tell a later change by them. */
  readonly tickMs: number;
  /** sha256 over all of it. */
  readonly digest: Buffer;
}

/** File systems stamp changes with a clock that ticks every 1–10 ms. */
const TICK_MS = 20;
/** On a server the clock is another, and may be behind this machine's. */
const REMOTE_TICK_MS = 60_000;
/** NFS, SMB (three numbers), CIFS, AFS, Ceph, FUSE, 9p, Lustre. */
const REMOTE_TYPES: ReadonlySet<number> = new Set([
  ...[0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x5346414f, 0x00c36400],
  ...[0x65735546, 0x01021997, 0x0bd00bd0],
]);

/**
 * Resolves what is to be scanned.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` for what is no directory or no regular file,
 * `ERR_KILN_INVALID_PATTERN`, and `ERR_KILN_INVALID_ARGUMENT` for a path or name in the tree that is none.
 */
export function resolveScan(source: ScanSource): ScanScope {
  const xattrProgram = source.xattrs === "off" ? undefined : findXattrProgram();
  const view =
    (source.permissions === "normalize" ? ViewFlag.NORMALIZE : 0) |
    (source.ownership === "keep" ? ViewFlag.KEEP_OWNERS : 0) |
    (source.times === "keep" ? ViewFlag.KEEP_TIMES : 0);
  const exclude = source.kind === "dir" ? (source.exclude ?? []) : [];
  const root = source.kind === "dir" ? realDirectory(source.root) : undefined;
  const files = new Map<string, string>();
  if (source.kind === "file") files.set(entryName(source), realFile(source.path));
  else for (const [path, file] of source.files ?? []) files.set(entryPath(path), realFile(file));
  const prefix = root === undefined || root.endsWith("/") ? root : `${root}/`;
  const identity = JSON.stringify([prefix, exclude, [...files], view, xattrProgram !== undefined]);
  return {
    prefix,
    exclude,
    filter: exclude.length > 0 ? new TreeFilter([], exclude) : undefined,
    overlay: overlayOf(files),
    view,
    xattrProgram,
    tickMs: Math.max(...[...(root === undefined ? [] : [root]), ...files.values()].map(tickOf)),
    digest: createHash("sha256").update(identity).digest(),
  };
}

function tickOf(path: string): number {
  try {
    return REMOTE_TYPES.has(statfsSync(path).type >>> 0) ? REMOTE_TICK_MS : TICK_MS;
  } catch {
    return REMOTE_TICK_MS;
  }
}

function overlayOf(files: ReadonlyMap<string, string>): ReadonlyMap<string, ReadonlyMap<string, Overlaid>> {
  const overlay = new Map<string, Map<string, Overlaid>>();
  for (const [path, file] of files) {
    let overlaid: Overlaid = file;
    let at = path;
    for (;;) {
      const slash = at.lastIndexOf("/");
      const directory = at.slice(0, Math.max(slash, 0));
      const names = overlay.get(directory) ?? new Map<string, Overlaid>();
      overlay.set(directory, names);
      const name = at.slice(slash + 1);
      if (names.has(name) && (names.get(name) === undefined) !== (overlaid === undefined)) {
        throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${at} is a file of the tree and a directory of it`);
      }
      names.set(name, overlaid);
      if (slash < 0) break;
      at = directory;
      overlaid = undefined;
    }
  }
  return overlay;
}

function realDirectory(directory: string): string {
  try {
    const root = realpathSync(directory);
    if (statSync(root).isDirectory()) return root;
  } catch (error) {
    if (!isMissing(error)) throw unreadable(directory, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no directory ${directory}`, { cause: error });
  }
  throw new KilnError("ERR_KILN_FILE_UNREADABLE", `${directory} is not a directory`);
}

function realFile(path: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isFile()) return real;
  } catch (error) {
    if (!isMissing(error)) throw unreadable(path, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `there is no file ${path}`, { cause: error });
  }
  throw new KilnError("ERR_KILN_FILE_UNREADABLE", `${path} is not a regular file`);
}

function entryName({ path, name = basename(path) }: FileScan): string {
  if (name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name)) return name;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${JSON.stringify(name)} is not a file name`);
}

function entryPath(path: string): string {
  const bad = path
    .split("/")
    .some((part) => part === "" || part === "." || part === ".." || part.includes("\0"));
  if (!bad) return path;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${JSON.stringify(path)} is no path within a tree`);
}
