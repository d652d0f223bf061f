import { lstatSync, type Stats } from "node:fs";
import { comparePaths } from "../../fsutil/byte-order.js";
import type { ManifestEntry } from "../../fsutil/manifest-entry.js";
import type { Pacer } from "../../fsutil/pacer.js";
import { readXattrs } from "../../fsutil/xattrs.js";
import type { PathDifference } from "./entry-differences.js";
import { FileHasher } from "./hash-file.js";
import { isDirectory, isRegular } from "./posix-mode.js";
import type { ChangedPath } from "./same-paths.js";
import type { ScanScope } from "./scan-scope.js";
import { isTooYoung } from "./stat-age.js";
import { DirectoryFlag, EntryFlag, type StoredTree, ViewFlag } from "./stored-tree.js";
import { type EntryStat, putStat } from "./tree-builder.js";
import { TreeManifest } from "./tree-manifest.js";
import { TreeVerifier, Verified } from "./verify-tree.js";

/** More than this is left to a walk, which reads in threads. */
const MOST_FILES = 512;
const MOST_BYTES = 16 * 1024 * 1024;
const QUIETLY = { throwIfNoEntry: false } as const;
const EXACTLY = { throwIfNoEntry: false, bigint: true } as const;

/** How a tree differs from what the last scan found. Both have the same paths, and the same kinds of files there. */
export interface SinceLastScan {
  /** The tree's digest as it was. */
  readonly digest: TreeManifest["digest"];
  /** In the protocol's order. */
  readonly changed: readonly ChangedPath[];
  /** A path as it was. */
  readonly entryBefore: (path: string) => ManifestEntry | undefined;
}

/** What {@link patchTree} goes by. */
export interface PatchTreeOptions {
  readonly scope: ScanScope;
  /** What of the tree is known to be the same, by directory. */
  readonly answers: Uint8Array;
  /** The clock when the scan began, in milliseconds. */
  readonly startedAt: number;
  readonly pacer: Pacer;
  readonly signal: AbortSignal;
}

/** What was read to bring a tree up to date, and what is different. */
export interface PatchedTree extends Omit<SinceLastScan, "digest"> {
  readonly filesRead: number;
  readonly bytesRead: number;
}

/** An entry as it is now. */
interface Fresh {
  readonly entry: number;
  readonly path: string;
  readonly stat: EntryStat;
  readonly mtimeNs: bigint;
  /** Of a file. */
  readonly sha256: Buffer | undefined;
}

/**
 * Brings a stored tree up to date where it lies, if it has the same files and directories as before and few of them were
 * changed: the most frequent change by far, and that of a large tree costs no second tree beside it.
 *
 * `undefined`, and the tree is as it was, if anything else has happened: then it has to be walked. Rejects with the signal's
 * reason alone.
 */
export async function patchTree(
  tree: StoredTree,
  options: PatchTreeOptions,
): Promise<PatchedTree | undefined> {
  const { scope, answers, startedAt, pacer, signal } = options;
  const directories = [...answers.keys()].filter((directory) => answers[directory] !== Verified.SAME);
  const found = await pacer.drive(findChanges(tree, scope, directories), signal);
  if (found === undefined || (await haveXattrs(found, scope, signal))) return undefined;
  const hasher = new FileHasher();
  const fresh: Fresh[] = [];
  let [filesRead, bytesRead] = [0, 0];
  for (const { entry, path, absolute, stat } of found) {
    const exact = lstatSync(absolute, EXACTLY);
    if (exact === undefined) return undefined;
    if (stat.isDirectory()) {
      fresh.push({ entry, path, stat, mtimeNs: exact.mtimeNs, sha256: undefined });
      continue;
    }
    const result = await pacer.drive(hasher.hash(absolute, stat), signal);
    if (result.kind !== "hashed") return undefined;
    filesRead += 1;
    bytesRead += result.bytesRead;
    const { mtimeNs } = result;
    fresh.push({ entry, path, stat: result.stat, mtimeNs, sha256: Buffer.from(result.sha256, "hex") });
  }
  const manifest = new TreeManifest(tree);
  const before = new Map(fresh.map(({ path }) => [path, manifest.entryAt(path)]));
  for (const { entry, stat, mtimeNs, sha256 } of fresh) {
    putStat(tree, entry, stat);
    tree.mtimeNs[entry] = mtimeNs;
    const young = isTooYoung(stat, { startedAt, tickMs: scope.tickMs });
    const flags = (tree.flags[entry] ?? 0) & ~EntryFlag.UNTRUSTED;
    tree.flags[entry] = flags | (young ? EntryFlag.UNTRUSTED : 0);
    if (sha256 !== undefined) tree.sha256.set(sha256, 32 * entry);
  }
  for (const directory of directories) {
    const untrusted = entriesIn(tree, directory).some(
      (entry) => ((tree.flags[entry] ?? 0) & EntryFlag.UNTRUSTED) !== 0,
    );
    const flags = (tree.directoryFlags[directory] ?? 0) & ~DirectoryFlag.DIRTY;
    tree.directoryFlags[directory] = flags | (untrusted ? DirectoryFlag.DIRTY : 0);
  }
  const changed: ChangedPath[] = [];
  for (const [path, old] of before) {
    const what = differences(old, manifest.entryAt(path), tree.view);
    if (what.length > 0) changed.push({ path, what });
  }
  changed.sort((a, b) => comparePaths(a.path, b.path));
  return { filesRead, bytesRead, changed, entryBefore: (path) => before.get(path) ?? manifest.entryAt(path) };
}

/** In what a path differs that is of the same kind, and can differ in nothing else. */
function differences(
  before: ManifestEntry | undefined,
  after: ManifestEntry | undefined,
  view: number,
): readonly PathDifference[] {
  if (before === undefined || after === undefined) return [];
  const found: PathDifference[] = [];
  if (before.sha256 !== after.sha256) found.push("content");
  if (before.mode !== after.mode) found.push("mode");
  if (before.uid !== after.uid || before.gid !== after.gid) found.push("owner");
  if ((view & ViewFlag.KEEP_TIMES) !== 0 && before.modTime !== after.modTime) found.push("time");
  return found;
}

interface Change {
  readonly entry: number;
  readonly path: string;
  readonly absolute: string;
  readonly stat: Stats;
}

/** What has to be looked at; `undefined` if more has happened than other content and other stats. */
function* findChanges(
  tree: StoredTree,
  scope: ScanScope,
  directories: readonly number[],
): Generator<void, readonly Change[] | undefined, void> {
  const { prefix, overlay, xattrProgram } = scope;
  if (prefix === undefined) return undefined;
  // Where some have attributes, those that are read now may have some, too, which a walk would read again.
  if (xattrProgram !== undefined && tree.extras.size > 0) return undefined;
  const verifier = new TreeVerifier(tree, scope, scope.filter);
  const changes: Change[] = [];
  let [files, bytes] = [0, 0];
  for (const directory of directories) {
    const path = tree.pathOf(directory);
    if (overlay.has(path) || !isPlain(tree, directory)) return undefined;
    const differing = yield* verifier.differing(directory);
    if (differing === undefined) return undefined;
    const untrusted = entriesIn(tree, directory).filter(
      (entry) => ((tree.flags[entry] ?? 0) & EntryFlag.UNTRUSTED) !== 0,
    );
    const names = tree.namesIn(directory);
    const first = tree.start[directory] ?? 0;
    const inside = path === "" ? "" : `${path}/`;
    for (const entry of new Set([...differing, ...untrusted])) {
      const child = inside + names[entry - first];
      const absolute = prefix + child;
      const stat = lstatSync(absolute, QUIETLY);
      if (stat === undefined || !isOfSameKind(tree, entry, stat)) return undefined;
      changes.push({ entry, path: child, absolute, stat });
      if (stat.isDirectory()) continue;
      files += 1;
      bytes += stat.size;
      if (files > MOST_FILES || bytes > MOST_BYTES) return undefined;
      yield;
    }
  }
  return changes;
}

/** Whether all that is in a directory is on disk there, and a part of the tree. */
function isPlain(tree: StoredTree, directory: number): boolean {
  return entriesIn(tree, directory).every(
    (entry) => ((tree.flags[entry] ?? 0) & (EntryFlag.LISTED | EntryFlag.OVERLAY)) === EntryFlag.LISTED,
  );
}

/** Whether an entry is a directory as before, or a file with one name as before; without extended attributes. */
function isOfSameKind(tree: StoredTree, entry: number, stat: Stats): boolean {
  const mode = tree.mode[entry] ?? 0;
  if (tree.extras.has(entry)) return false;
  if (isDirectory(mode)) return stat.isDirectory();
  const single = ((tree.flags[entry] ?? 0) & EntryFlag.SHARED) === 0 && stat.nlink === 1;
  return isRegular(mode) && stat.isFile() && single;
}

async function haveXattrs(
  changes: readonly Change[],
  { xattrProgram }: ScanScope,
  signal: AbortSignal,
): Promise<boolean> {
  if (xattrProgram === undefined || changes.length === 0) return false;
  const paths = changes.map(({ absolute }) => absolute);
  const found = await readXattrs(xattrProgram, paths, signal);
  signal.throwIfAborted();
  return found.size > 0;
}

function entriesIn(tree: StoredTree, directory: number): number[] {
  const first = tree.start[directory] ?? 0;
  const end = tree.start[directory + 1] ?? 0;
  return Array.from({ length: end - first }, (_, at) => first + at);
}
