import { type BigIntStats, lstatSync, readdirSync, type Stats } from "node:fs";
import { KilnError } from "../../errors.js";
import { compareNames } from "../../fsutil/byte-order.js";
import { deviceNumbers } from "../../fsutil/directory-source.js";
import { changed, isForbidden, isMissing, unreadable } from "../../fsutil/file-errors.js";
import { readSortedNames } from "../../fsutil/sorted-directory.js";
import type { FilterScope } from "../../fsutil/tree-filter.js";
import { checkUtf8Name, readUtf8Link } from "../../fsutil/utf8-names.js";
import { readXattrs, type Xattrs } from "../../fsutil/xattrs.js";
import { FilterScopes } from "./filter-scopes.js";
import { type FileMark, type HashedFile, sameMark } from "./hash-file.js";
import { type FileToHash, HashQueue, type HashQueueOptions } from "./hash-queue.js";
import { isDirectory, isSymlink } from "./posix-mode.js";
import type { Overlaid, ScanScope } from "./scan-scope.js";
import { isTooYoung } from "./stat-age.js";
import { EntryFlag, type Extra, NO_LINK, type StoredTree } from "./stored-tree.js";
import { type EntryStat, TreeBuilder } from "./tree-builder.js";
import { mergeNames, Verified } from "./verify-tree.js";

const QUIETLY = { throwIfNoEntry: false } as const;
const EXACTLY = { throwIfNoEntry: false, bigint: true } as const;
/** Entries whose extended attributes one process reads, about. */
const XATTR_GROUP = 8192;
/** Times that an entry may turn out to be something else than a moment before. */
const ATTEMPTS = 5;

/** 1980-01-01T00:00:02Z: the time of directories that are nowhere on disk. */
const MADE_UP_TIME_S = 315_532_802;
const MADE_UP: EntryStat = {
  ...{ dev: 0, ino: 0, mode: 0o040755, size: 0, uid: 0, gid: 0 },
  ...{ mtimeMs: MADE_UP_TIME_S * 1000, ctimeMs: MADE_UP_TIME_S * 1000 },
};

/** What a {@link TreeWalk} goes by. */
export interface TreeWalkOptions extends Pick<HashQueueOptions, "pool" | "always" | "pacer"> {
  readonly scope: ScanScope;
  /** The tree as it was, and what of it is known to be the same, by directory. */
  readonly former: { readonly tree: StoredTree; readonly answers: Uint8Array } | undefined;
  /** The clock when the scan began, in milliseconds. */
  readonly startedAt: number;
  readonly signal: AbortSignal | undefined;
}

/** What a walk read. */
export interface WalkResult {
  readonly tree: StoredTree;
  readonly filesRead: number;
  readonly bytesRead: number;
}

/** A directory that is to be listed. */
interface Pending {
  /** Its entry; -1 for the root. */
  readonly entry: number;
  readonly parent: number;
  readonly path: string;
  /** Its number in the former tree, or -1. */
  readonly former: number;
  /** Whether there is such a directory on disk that is walked. */
  readonly onDisk: boolean;
}

/** A former directory's children, walked along with its names. */
interface FormerNames {
  readonly names: readonly string[];
  readonly first: number;
  at: number;
}

/**
 * Walks a tree from nothing, or from what it was: directories that are known to be the same are taken over, files with
 * the same stat keep their sha256, all others are read.
 */
export class TreeWalk {
  readonly #options: TreeWalkOptions;
  readonly #builder: TreeBuilder;
  readonly #scopes: FilterScopes;
  readonly #queue: HashQueue;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stack: Pending[] = [];
  /** Directories of the tree that further files made a part of it, though the filter holds them back. */
  readonly #heldBack = new Set<number>();
  #withoutXattrs: { readonly entry: number; readonly absolute: string }[] = [];
  #readingXattrs: Promise<void> = Promise.resolve();
  #filesRead = 0;
  #bytesRead = 0;

  constructor(options: TreeWalkOptions) {
    this.#options = options;
    const { pool, always, pacer, signal, former, scope } = options;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#builder = new TreeBuilder(former?.tree.shape.entries ?? 0);
    this.#scopes = new FilterScopes(scope.filter);
    const take = (file: FileToHash, result: HashedFile): void => this.#take(file, result);
    const markOf = (entry: number): FileMark => this.#builder.stat(entry);
    this.#queue = new HashQueue({ pool, always, pacer, signal: this.#signal, markOf, take });
  }

  /** Walks. Throws what a scan throws. */
  async run(): Promise<WalkResult> {
    const { pacer, former } = this.#options;
    try {
      this.#stack.push({
        ...{ entry: -1, parent: -1, path: "", former: former === undefined ? -1 : 0 },
        onDisk: this.#options.scope.prefix !== undefined,
      });
      for (let next = this.#stack.pop(); next !== undefined; next = this.#stack.pop()) {
        for (const _ of this.#walk(next)) {
          await this.#queue.room();
          if (pacer.due()) await pacer.rest();
          this.#signal.throwIfAborted();
        }
      }
      await this.#queue.finish();
      this.#readXattrs();
      await this.#readingXattrs;
      this.#signal.throwIfAborted();
      this.#listDirectories();
      return { tree: this.#builder.finish(), filesRead: this.#filesRead, bytesRead: this.#bytesRead };
    } catch (error) {
      this.#stop.abort(error);
      await this.#queue.settled();
      await this.#readingXattrs.catch(() => {});
      throw error;
    }
  }

  *#walk(next: Pending): Generator<void, void, void> {
    const { former } = this.#options;
    const directory = this.#builder.openDirectory(next.path);
    if (next.entry >= 0) this.#builder.link[next.entry] = directory;
    const pushed = this.#stack.length;
    if (former !== undefined && next.former >= 0 && former.answers[next.former] === Verified.SAME) {
      yield* this.#takeOver(former.tree, next.former);
    } else {
      yield* this.#list(next, directory);
    }
    // The first of them is to be walked first.
    const children = this.#stack.splice(pushed);
    for (const child of children.reverse()) this.#stack.push(child);
    yield;
  }

  *#takeOver(tree: StoredTree, directory: number): Generator<void, void, void> {
    const { extras } = tree;
    const builder = this.#builder;
    const first = tree.start[directory] ?? 0;
    const end = tree.start[directory + 1] ?? 0;
    const offset = builder.entries - first;
    builder.copy(tree, directory);
    for (let entry = first; entry < end; entry += 1) {
      const mode = tree.mode[entry] ?? 0;
      if (extras.size > 0) this.#takeExtra(extras.get(entry), entry + offset);
      if (isSymlink(mode)) builder.setTarget(entry + offset, tree.targetOf(entry));
      if (!isDirectory(mode)) continue;
      const former = tree.link[entry] ?? NO_LINK;
      const path = tree.pathOf(former);
      this.#stack.push({
        ...{ entry: entry + offset, parent: this.#currentDirectory(), path, former, onDisk: true },
      });
    }
    yield;
  }

  #currentDirectory(): number {
    return this.#builder.directoryFlags.length - 1;
  }

  #takeExtra(extra: Extra | undefined, entry: number): void {
    if (extra !== undefined) this.#builder.extras.set(entry, extra);
  }

  *#list(next: Pending, directory: number): Generator<void, void, void> {
    const { scope, former } = this.#options;
    const { path } = next;
    const inside = path === "" ? "" : `${path}/`;
    const base = `${scope.prefix ?? ""}${inside}`;
    const overlay = scope.overlay.get(path);
    const onDisk = next.onDisk ? yield* this.#readNames(next, base) : [];
    const names = overlay === undefined ? onDisk : mergeNames(onDisk, overlay.keys());
    const filterScope = this.#scopes.of(path);
    const before: FormerNames | undefined =
      former === undefined || next.former < 0
        ? undefined
        : { names: former.tree.namesIn(next.former), first: former.tree.start[next.former] ?? 0, at: 0 };
    for (const name of names) {
      const child = { name, path: inside + name, directory };
      if (overlay?.has(name) === true) {
        this.#addOverlaid(child, overlay.get(name), { base, filterScope, before, walked: next.onDisk });
      } else {
        this.#addOnDisk(child, base, filterScope, before);
      }
      yield;
    }
  }

  /** The names in a directory that is on disk; none when it has vanished. */
  *#readNames(next: Pending, base: string): Generator<void, readonly string[], void> {
    const root = next.entry < 0;
    const absolute = base === "/" ? base : base.slice(0, -1);
    const flags = this.#builder.flags[next.entry] ?? 0;
    try {
      // Another look at it: reading names follows a symlink that has taken its place.
      const stat = lstatSync(absolute, QUIETLY);
      if (stat?.isDirectory() !== true && !root) {
        this.#vanish(next.entry, next.parent);
        return [];
      }
      return yield* readSortedNames(base, stat?.size ?? 0);
    } catch (error) {
      if (error instanceof KilnError) throw error;
      if (isMissing(error) && !root) {
        this.#vanish(next.entry, next.parent);
        return [];
      }
      // A directory that is only passed through, because something inside might be wanted, may stay closed.
      if (isForbidden(error) && !root && (flags & EntryFlag.WANTED) === 0) return [];
      throw unreadable(absolute, error);
    }
  }

  #addOnDisk(
    child: { readonly name: string; readonly path: string; readonly directory: number },
    base: string,
    filterScope: FilterScope | undefined,
    before: FormerNames | undefined,
  ): void {
    const { filter } = this.#options.scope;
    const { name, path, directory } = child;
    const verdict = filter === undefined ? "in" : filter.judge(path, true, filterScope);
    if (verdict === "out") return;
    if (verdict === "in" || isMisspelledDirectory(base, name)) checkUtf8Name(base, name);
    const stat = this.#look(base + name, verdict === "in");
    if (stat === undefined || (verdict === "through" && !stat.isDirectory())) return;
    const former = formerOf(before, name);
    const entry = this.#add(name, stat, verdict === "in" ? EntryFlag.WANTED : 0);
    this.#fill({ entry, directory, absolute: base + name, stat, former });
    if (!stat.isDirectory()) return;
    this.#stack.push({
      ...{ entry, parent: directory, path, onDisk: true },
      former: this.#formerDirectory(former),
    });
  }

  #addOverlaid(
    child: { readonly name: string; readonly path: string; readonly directory: number },
    file: Overlaid,
    place: {
      readonly base: string;
      readonly filterScope: FilterScope | undefined;
      readonly before: FormerNames | undefined;
      /** Whether the directory is on disk and walked there. */
      readonly walked: boolean;
    },
  ): void {
    const { name, path, directory } = child;
    const former = formerOf(place.before, name);
    if (file !== undefined) {
      const stat = this.#look(file, true);
      if (stat?.isFile() !== true) return;
      const entry = this.#add(name, stat, EntryFlag.WANTED | EntryFlag.OVERLAY);
      this.#fill({ entry, directory, absolute: file, stat, former });
      return;
    }
    const { filter } = this.#options.scope;
    const judge = (): string => filter?.judge(path, true, place.filterScope) ?? "in";
    const verdict = place.walked ? judge() : "out";
    const found = verdict === "out" ? undefined : this.#look(place.base + name, verdict === "in");
    const onDisk = found?.isDirectory() === true;
    const flags = EntryFlag.WANTED | (onDisk ? 0 : EntryFlag.OVERLAY);
    const entry = this.#add(name, onDisk ? found : MADE_UP, flags);
    // Whether it is on disk, and what else is in it, only a whole walk tells.
    if (!onDisk || verdict === "through") this.#builder.markDirty(directory);
    if (onDisk && verdict === "through") this.#heldBack.add(entry);
    if (onDisk) {
      this.#fill({ entry, directory, absolute: place.base + name, stat: found, former });
    } else {
      this.#builder.mtimeNs[entry] = BigInt(MADE_UP_TIME_S) * 1_000_000_000n;
    }
    this.#stack.push({
      ...{ entry, parent: directory, path, onDisk },
      former: this.#formerDirectory(former),
    });
  }

  #add(name: string, stat: EntryStat & { readonly nlink?: number }, flags: number): number {
    const entry = this.#builder.add(name, stat);
    const single = isDirectory(stat.mode) || isSymlink(stat.mode) || (flags & EntryFlag.OVERLAY) !== 0;
    const shared = !single && (stat.nlink ?? 1) > 1;
    this.#builder.flags[entry] = flags | (shared ? EntryFlag.SHARED : 0);
    return entry;
  }

  #formerDirectory(former: number): number {
    const tree = this.#options.former?.tree;
    if (tree === undefined || former < 0 || !isDirectory(tree.mode[former] ?? 0)) return -1;
    return tree.link[former] ?? -1;
  }

  /** `undefined` when it is gone, or when it may stay unseen and does. */
  #look(absolute: string, wanted: boolean): Stats | undefined {
    try {
      return lstatSync(absolute, QUIETLY);
    } catch (error) {
      if (isMissing(error) || (!wanted && isForbidden(error))) return undefined;
      throw unreadable(absolute, error);
    }
  }

  /** Finds what an entry has beside its stat: from the former tree where the stat is the same, else from disk. */
  #fill(what: {
    readonly entry: number;
    readonly directory: number;
    readonly absolute: string;
    readonly stat: Stats;
    readonly former: number;
  }): void {
    const { entry, directory, absolute, stat, former } = what;
    const builder = this.#builder;
    const tree = this.#options.former?.tree;
    this.#judgeAge(entry, directory, stat);
    if (tree !== undefined && former >= 0 && isKept(tree, former, stat)) {
      builder.mtimeNs[entry] = tree.mtimeNs[former] ?? 0n;
      this.#takeExtra(tree.extras.get(former), entry);
      if (stat.isSymbolicLink()) builder.setTarget(entry, tree.targetOf(former));
      if (stat.isFile()) builder.sha256.set(tree.sha256.subarray(32 * former, 32 * former + 32), 32 * entry);
      return;
    }
    if (this.#options.scope.xattrProgram !== undefined) {
      this.#withoutXattrs.push({ entry, absolute });
      if (this.#withoutXattrs.length >= XATTR_GROUP) this.#readXattrs();
    }
    if (stat.isFile()) this.#queue.add({ entry, directory, absolute, size: stat.size, attempts: 0 });
    else this.#readOther(entry, directory, absolute, stat);
  }

  /** What is no regular file: its exact time, a link's target, a device's numbers. */
  #readOther(entry: number, directory: number, absolute: string, stat: Stats): void {
    const builder = this.#builder;
    try {
      const exact: BigIntStats | undefined = lstatSync(absolute, EXACTLY);
      if (exact === undefined || (Number(exact.mode) ^ stat.mode) & 0o170000) {
        this.#vanish(entry, directory);
        return;
      }
      builder.mtimeNs[entry] = exact.mtimeNs;
      if (stat.isSymbolicLink()) builder.setTarget(entry, readUtf8Link(absolute));
      if (stat.isBlockDevice() || stat.isCharacterDevice()) {
        builder.extras.set(entry, { ...builder.extras.get(entry), device: deviceNumbers(exact.rdev) });
      }
      if (stat.isSocket()) builder.sha256.set(EMPTY_SHA256, 32 * entry);
    } catch (error) {
      if (error instanceof KilnError) throw error;
      if (!isMissing(error)) throw unreadable(absolute, error);
      this.#vanish(entry, directory);
    }
  }

  /** Marks what is too young. */
  #judgeAge(entry: number, directory: number, stat: FileMark): void {
    const { startedAt, scope } = this.#options;
    const flags = this.#builder.flags[entry] ?? 0;
    if (!isTooYoung(stat, { startedAt, tickMs: scope.tickMs })) {
      this.#builder.flags[entry] = flags & ~EntryFlag.UNTRUSTED;
      return;
    }
    this.#builder.flags[entry] = flags | EntryFlag.UNTRUSTED;
    this.#builder.markDirty(directory);
  }

  #vanish(entry: number, directory: number): void {
    this.#builder.flags[entry] = (this.#builder.flags[entry] ?? 0) & ~EntryFlag.WANTED;
    this.#builder.markDirty(directory);
  }

  #take(file: FileToHash, result: HashedFile): void {
    const { entry, directory, absolute } = file;
    const builder = this.#builder;
    switch (result.kind) {
      case "hashed":
        this.#filesRead += 1;
        this.#bytesRead += result.bytesRead;
        if (!sameMark(result.stat, builder.stat(entry))) {
          builder.setStat(entry, result.stat);
          this.#judgeAge(entry, directory, result.stat);
        }
        builder.mtimeNs[entry] = result.mtimeNs;
        builder.sha256.set(Buffer.from(result.sha256, "hex"), 32 * entry);
        return;
      case "gone":
        this.#vanish(entry, directory);
        return;
      case "other":
        this.#takeOther(file);
        return;
      case "unsettled":
        throw changed(absolute, "it changed each time it was read");
      case "unreadable":
        throw unreadable(absolute, { code: result.code });
      default:
        result satisfies never;
    }
  }

  /** Something else stands where a file was a moment ago. */
  #takeOther({ entry, directory, absolute, attempts }: FileToHash): void {
    const stat = this.#look(absolute, true);
    const overlaid = ((this.#builder.flags[entry] ?? 0) & EntryFlag.OVERLAY) !== 0;
    if (stat === undefined || stat.isDirectory() || (overlaid && !stat.isFile())) {
      this.#vanish(entry, directory);
      return;
    }
    if (attempts >= ATTEMPTS) throw changed(absolute, "it becomes something else again and again");
    this.#builder.setStat(entry, stat);
    this.#judgeAge(entry, directory, stat);
    const shared = stat.nlink > 1 && !stat.isSymbolicLink() && !overlaid;
    const flags = (this.#builder.flags[entry] ?? 0) & ~EntryFlag.SHARED;
    this.#builder.flags[entry] = flags | (shared ? EntryFlag.SHARED : 0);
    if (stat.isFile()) {
      this.#queue.add({ entry, directory, absolute, size: stat.size, attempts: attempts + 1 });
    } else this.#readOther(entry, directory, absolute, stat);
  }

  /** Has the program read what waits, one group after another. */
  #readXattrs(): void {
    const { xattrProgram } = this.#options.scope;
    const group = this.#withoutXattrs;
    this.#withoutXattrs = [];
    if (xattrProgram === undefined || group.length === 0) return;
    const previous = this.#readingXattrs;
    this.#readingXattrs = (async () => {
      await previous;
      const paths = group.map(({ absolute }) => absolute);
      const found = await readXattrs(xattrProgram, paths, this.#signal);
      for (const { entry, absolute } of found.size === 0 ? [] : group) {
        const xattrs = found.get(absolute);
        if (xattrs === undefined) continue;
        this.#builder.extras.set(entry, { ...this.#builder.extras.get(entry), xattrs: encodeXattrs(xattrs) });
      }
    })();
    // Awaited in the end.
    this.#readingXattrs.catch(() => {});
  }

  /** Tells which entries are a part of the tree: what the filter wants, and the directories above. */
  #listDirectories(): void {
    const builder = this.#builder;
    const { flags, link, mode } = builder;
    const starts = builder.starts();
    /** By directory: something in it is listed; and something that is no further file. */
    const listed = new Uint8Array(starts.length);
    const listedOnDisk = new Uint8Array(starts.length);
    for (let directory = starts.length - 1; directory >= 0; directory -= 1) {
      const end = starts[directory + 1] ?? builder.entries;
      for (let entry = starts[directory] ?? 0; entry < end; entry += 1) {
        const inner = isDirectory(mode[entry] ?? 0) ? (link[entry] ?? 0) : -1;
        const flag = flags[entry] ?? 0;
        const held = this.#heldBack.has(entry);
        const own = (flag & EntryFlag.WANTED) !== 0 && !held;
        const isListed = own || held || (inner >= 0 && listed[inner] === 1);
        const ownOnDisk = own && (flag & EntryFlag.OVERLAY) === 0;
        const isOnDisk = ownOnDisk || (inner >= 0 && listedOnDisk[inner] === 1);
        flags[entry] = isListed ? flag | EntryFlag.LISTED : flag & ~EntryFlag.LISTED;
        if (isListed) listed[directory] = 1;
        if (isOnDisk) listedOnDisk[directory] = 1;
        if (held && !isOnDisk) this.#makeUp(entry);
      }
    }
  }

  /** A directory that only further files are in is not the one on disk. */
  #makeUp(entry: number): void {
    const builder = this.#builder;
    builder.setStat(entry, MADE_UP);
    builder.mtimeNs[entry] = BigInt(MADE_UP_TIME_S) * 1_000_000_000n;
    builder.flags[entry] = (builder.flags[entry] ?? 0) | EntryFlag.OVERLAY;
    builder.extras.delete(entry);
  }
}

const EMPTY_SHA256 = Buffer.from("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "hex");

/** Whether a name that may be no UTF-8 is a directory's: by such a name, nothing can be looked at. */
function isMisspelledDirectory(base: string, name: string): boolean {
  if (!name.includes("\ufffd")) return false;
  return readdirSync(base, { withFileTypes: true }).some((each) => each.name === name && each.isDirectory());
}

function isKept(tree: StoredTree, entry: number, stat: FileMark): boolean {
  return (
    ((tree.flags[entry] ?? 0) & (EntryFlag.UNTRUSTED | EntryFlag.LISTED)) === EntryFlag.LISTED &&
    tree.ctimeMs[entry] === stat.ctimeMs &&
    tree.mtimeMs[entry] === stat.mtimeMs &&
    tree.size[entry] === stat.size &&
    tree.ino[entry] === stat.ino &&
    tree.mode[entry] === stat.mode &&
    tree.dev[entry] === stat.dev
  );
}

/** The entry of a name among a former directory's children, or -1. Names are asked for in order. */
function formerOf(before: FormerNames | undefined, name: string): number {
  if (before === undefined) return -1;
  for (let other = before.names[before.at]; other !== undefined; other = before.names[before.at]) {
    const order = other === name ? 0 : compareNames(other, name);
    if (order > 0) return -1;
    before.at += 1;
    if (order === 0) return before.first + before.at - 1;
  }
  return -1;
}

function encodeXattrs(xattrs: Xattrs): NonNullable<Extra["xattrs"]> {
  return [...xattrs]
    .sort(([a], [b]) => compareNames(a, b))
    .map(([name, value]) => [name, Buffer.from(value).toString("base64")] as const);
}
