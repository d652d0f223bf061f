import { Pacer } from "../../fsutil/pacer.js";
import { WorkerPool, workerEntry } from "../../internal/worker-pool.js";
import { patchTree, type SinceLastScan } from "./patch-tree.js";
import { resolveScan, type ScanScope, type ScanSource } from "./scan-scope.js";
import type { ScanAnswer, ScanTask, SumTask, VerifyTask } from "./scan-worker.js";
import { SharedWalks } from "./shared-walks.js";
import { readStoredTree, type StoredTree, sealTree, writeHeader } from "./stored-tree.js";
import { type SumPlace, sumTree, type TreeSums } from "./tree-digest.js";
import { TreeManifest } from "./tree-manifest.js";
import { TreeWalk } from "./tree-walk.js";
import { TreeVerifier, Verified, verifyShare } from "./verify-tree.js";

/** Where manifests are kept between scans: the part of the cache index that scans need. */
export interface ManifestStore {
  /** Where it keeps them. Stores of one directory are one. Default: it is like no other. */
  readonly dir?: string | undefined;
  /** What was written; `undefined` when there is none, or it is damaged. The bytes are the caller's: they are written to. */
  readBytes(kind: "trees", key: string): Promise<Uint8Array | undefined>;
  /** The bytes are not copied, and must not be changed. */
  writeBytes(kind: "trees", key: string, bytes: Uint8Array): Promise<void>;
}

/** How {@link scanTree} scans. */
export interface ScanTreeOptions {
  readonly index: ManifestStore;
  /** Under which the manifest is kept; a key for each source and view. */
  readonly key: string;
  readonly signal?: AbortSignal | undefined;
  /** The clock, in milliseconds since the epoch. Default: the machine's. */
  readonly now?: (() => number) | undefined;
  /**
   * `"auto"` (default) reads in threads what is large, and compares in threads from 30,000 paths on; `"always"` uses them
   * for the smallest tree, `"off"` never.
   */
  readonly threads?: "auto" | "always" | "off" | undefined;
  /**
   * Called once a file turns out to have other content than at the last scan, while the scan goes on: time to get ready for
   * what such a tree will need. Not for every tree that has changed, nor for a scan that joins another one.
   */
  readonly onChanged?: (() => void) | undefined;
  /**
   * Gets what keeps the manifest for the next scan where that has time, as few files were read: to be called in the end.
   * Default: it is kept before the scan resolves.
   */
  readonly later?: ((keep: () => Promise<void>) => void) | undefined;
}

/** What {@link scanTree} found. */
export interface ScannedTree {
  readonly manifest: TreeManifest;
  /** Files whose content was read: those that were new, changed, or too young at the last scan. */
  readonly filesRead: number;
  readonly bytesRead: number;
  /** What is different from the last scan of the key, where that showed without a comparison. */
  readonly since?: SinceLastScan | undefined;
}

/** Paths from which on threads are faster than their start. */
const THREADS_FROM = 30_000;

let threads: WorkerPool<ScanTask, ScanAnswer> | undefined;

function pool(): WorkerPool<ScanTask, ScanAnswer> {
  threads ??= new WorkerPool<ScanTask, ScanAnswer>(workerEntry("scan-worker", import.meta.url));
  return threads;
}

const walksByStore = new WeakMap<ManifestStore, SharedWalks<ScannedTree>>();
const walksByPlace = new Map<string, SharedWalks<ScannedTree>>();

function walksOf(store: ManifestStore): SharedWalks<ScannedTree> {
  const { dir } = store;
  const known = dir === undefined ? walksByStore.get(store) : walksByPlace.get(dir);
  if (known !== undefined) return known;
  const walks = new SharedWalks<ScannedTree>();
  if (dir === undefined) walksByStore.set(store, walks);
  else walksByPlace.set(dir, walks);
  return walks;
}

/**
 * Scans a local tree. What has the stat that the last scan of the key saw is not read again; of an unchanged tree no file
 * is opened.
 *
 * Safe against everything that a stat can show: a file is the same only with the same device, inode, size, mode, mtime and
 * ctime. What was changed within the clock's granularity of the last scan or lies in its future is read again, and after
 * the clock was set back everything is. A file that changes while it is read is read again, five times at most. What
 * vanishes meanwhile is left out.
 *
 * Scans of one key in one store at the same time in a process share walks, but never one that began before the scan was asked for.
 *
 * Rejects with
 * - `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE`, `ERR_KILN_INVALID_PATTERN` and `ERR_KILN_INVALID_ARGUMENT` as
 *   `openTree`, `singleFileTree` and `overlayTree` do;
 * - `ERR_KILN_FILE_CHANGED` for a file that never holds still;
 * - the signal's reason.
 */
export async function scanTree(source: ScanSource, options: ScanTreeOptions): Promise<ScannedTree> {
  const { index, key, signal } = options;
  signal?.throwIfAborted();
  const scope = resolveScan(source);
  const threadsOption = options.threads ?? "auto";
  return await walksOf(index).join(
    `${key} ${scope.digest.toString("hex")} ${threadsOption}`,
    (walkSignal) => scan(scope, { ...options, threads: threadsOption }, walkSignal),
    signal,
  );
}

async function scan(
  scope: ScanScope,
  options: ScanTreeOptions & { readonly threads: "auto" | "always" | "off" },
  signal: AbortSignal,
): Promise<ScannedTree> {
  const { index, key, now = Date.now } = options;
  const startedAt = now();
  const inThreads = (entries: number): boolean =>
    options.threads === "always" || (options.threads === "auto" && entries >= THREADS_FROM);
  const former = await readFormer(scope, options, { startedAt, inThreads });
  signal.throwIfAborted();
  const pacer = new Pacer();
  const answers =
    former === undefined
      ? undefined
      : await verify(former, scope, { pacer, signal, inThreads: inThreads(former.shape.entries) });
  if (former !== undefined && answers?.every((answer) => answer === Verified.SAME) === true) {
    return { manifest: new TreeManifest(former), filesRead: 0, bytesRead: 0 };
  }
  const patched =
    former === undefined || answers === undefined
      ? undefined
      : await patchTree(former, { scope, answers, startedAt, pacer, signal });
  if (patched?.changed.some(({ what }) => what.includes("content")) === true) options.onChanged?.();
  const since = former && patched && { ...patched, digest: new TreeManifest(former).digest };
  const { tree, filesRead, bytesRead } =
    former !== undefined && patched !== undefined
      ? { ...patched, tree: former }
      : await new TreeWalk({
          ...{ scope, startedAt, signal, pacer },
          pool: options.threads === "off" ? undefined : pool(),
          always: options.threads === "always",
          former: former === undefined || answers === undefined ? undefined : { tree: former, answers },
        }).run();
  const { digest, ...sums } = await sum(tree, scope, { pacer, signal });
  writeHeader(tree, { ...sums, scannedAt: startedAt, view: scope.view, scope: scope.digest });
  sealTree(tree, digest);
  const keep = (): Promise<void> => index.writeBytes("trees", key, tree.bytes);
  if (patched !== undefined && options.later !== undefined) options.later(keep);
  else await keep();
  return { manifest: new TreeManifest(tree), filesRead, bytesRead, since };
}

/** The tree as the last scan of the key left it, if it can be relied on. */
async function readFormer(
  scope: ScanScope,
  { index, key }: ScanTreeOptions,
  { startedAt, inThreads }: { startedAt: number; inThreads: (entries: number) => boolean },
): Promise<StoredTree | undefined> {
  const bytes = await index.readBytes("trees", key);
  const tree = bytes === undefined ? undefined : readStoredTree(bytes, inThreads);
  if (tree === undefined || !tree.scope.equals(scope.digest)) return undefined;
  // The clock was set back: a change made since may have any time.
  return startedAt < tree.scannedAt ? undefined : tree;
}

/** Compares all directories with the disk, with the help of threads. */
async function verify(
  tree: StoredTree,
  scope: ScanScope,
  options: { readonly pacer: Pacer; readonly signal: AbortSignal; readonly inThreads: boolean },
): Promise<Uint8Array> {
  const { pacer, signal, inThreads } = options;
  const { directories } = tree.shape;
  const share = {
    next: new Int32Array(new SharedArrayBuffer(8)),
    answers: new Uint8Array(new SharedArrayBuffer(directories)),
  };
  const helpers = inThreads ? startHelpers(tree, scope, { ...share, signal }) : undefined;
  try {
    await pacer.drive(verifyShare(new TreeVerifier(tree, scope, scope.filter), share), signal);
    // A thread that took a directory is about to answer. One that has not begun is not waited for.
    if (share.answers.includes(0)) await helpers?.done;
  } finally {
    // Nothing is left to take.
    Atomics.store(share.next, 0, directories);
    helpers?.stop(Atomics.load(share.next, 1));
  }
  signal.throwIfAborted();
  return share.answers;
}

/** Sums a tree up: in a thread if it lies where threads see it, so that this one can do something else. */
async function sum(
  tree: StoredTree,
  { view, prefix }: SumPlace,
  { pacer, signal }: { readonly pacer: Pacer; readonly signal: AbortSignal },
): Promise<TreeSums> {
  const memory = tree.bytes.buffer;
  if (memory instanceof SharedArrayBuffer) {
    const task: SumTask = { kind: "sum", memory, shape: tree.shape, view, prefix };
    const sums = await pool()
      .run(task, { signal })
      .catch(() => signal.throwIfAborted());
    // Where a thread cannot be started, it takes longer, no more.
    if (sums !== undefined && "digest" in sums) return sums;
  }
  return await pacer.drive(sumTree(tree, { view, prefix }), signal);
}

function startHelpers(
  tree: StoredTree,
  { prefix, overlay, exclude }: ScanScope,
  { signal, ...share }: Pick<VerifyTask, "next" | "answers"> & { readonly signal: AbortSignal },
): { readonly done: Promise<unknown>; readonly stop: (begun: number) => void } | undefined {
  const memory = tree.bytes.buffer;
  if (!(memory instanceof SharedArrayBuffer)) return undefined;
  const place = { prefix, overlay };
  const task: VerifyTask = { kind: "verify", memory, shape: tree.shape, place, exclude, ...share };
  const late = new AbortController();
  const stopped = AbortSignal.any([signal, late.signal]);
  // What a thread does not answer, the walk looks at.
  const helpers = pool();
  const running = Array.from({ length: helpers.size }, () =>
    helpers.run(task, { signal: stopped }).catch(() => {}),
  );
  return {
    done: Promise.all(running),
    stop: (begun) => {
      if (begun < helpers.size) late.abort();
    },
  };
}
