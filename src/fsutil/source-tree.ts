import { FileMode, normalizedMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";
import { dropInner, followPaths } from "./follow-paths.js";
import { Pacer } from "./pacer.js";
import { type ReadContentOptions, readContent } from "./source-file.js";
import { TreeFilter, type TreeFilterOptions, type Visit } from "./tree-filter.js";
import type { SourceEntry, TreeSource } from "./tree-source.js";
import { findXattrProgram, readXattrs } from "./xattrs.js";

/** Entries handed out at once, at most. */
const BATCH = 1024;
/** Entries whose extended attributes one process reads, about. */
const GROUP = 8 * BATCH;

/**
 * Changes what is sent about a path: owner, permissions, times. Returning `undefined` leaves the path out,
 * and with a directory all that is inside. Path, size, kind and link target must stay.
 */
export type MapStat = (stat: FileStat) => FileStat | undefined;

/** How a tree shows its files. */
export interface TreeViewOptions {
  /** `"root"` (default) sends every file as uid and gid 0; `"keep"` as on disk. */
  readonly ownership?: "root" | "keep" | undefined;
  /**
   * `"keep"` (default) sends modes as on disk; `"normalize"` 0755 for directories and for files that their
   * owner may execute, 0644 for other files, without setuid, setgid and sticky bits. Symlinks stay.
   */
  readonly permissions?: "keep" | "normalize" | undefined;
  /** Called after the two above for each path that is sent. Sees no extended attributes. */
  readonly map?: MapStat | undefined;
  /**
   * `"auto"` (default) sends extended attributes where the program `getfattr` is installed, and none where it
   * is not (Node cannot read them); `"off"` never.
   */
  readonly xattrs?: "auto" | "off" | undefined;
}

/** What can be sent, packed or hashed: a listing in the protocol's order, and the files' content. */
export interface Tree {
  /** What the tree is on disk, for messages. */
  readonly root: string;
  /**
   * Lists the tree in the order of the packet protocol: depth-first, siblings in byte order of their names.
   * A file's further hard links carry the first one's path in `linkname` and size 0. Paths that vanish
   * meanwhile are left out. Every call walks anew.
   *
   * Yields batches of up to 1,024 entries, each the work of about five milliseconds, after which the event
   * loop has turned. Throws `ERR_KILN_FILE_UNREADABLE`, or the signal's reason.
   */
  walk(options?: {
    readonly signal?: AbortSignal | undefined;
  }): AsyncGenerator<readonly FileStat[], void, void>;
  /** Reads a listed regular file; see {@link readContent}. */
  read(path: string, options: ReadContentOptions): AsyncGenerator<Uint8Array, void, void>;
  /**
   * The same tree with a further filter behind this one's: a path must pass both. Throws
   * `ERR_KILN_INVALID_PATTERN`, and what following paths may throw.
   */
  narrow(filter: TreeFilterOptions): Tree;
}

/** Makes a tree of a source. Throws what {@link Tree.narrow} throws. */
export function createTree(source: TreeSource, view: TreeViewOptions, filter: TreeFilterOptions): Tree {
  return new SourceTree(source, view, []).narrow(filter);
}

class SourceTree implements Tree {
  readonly #source: TreeSource;
  readonly #view: TreeViewOptions;
  readonly #filters: readonly TreeFilter[];

  constructor(source: TreeSource, view: TreeViewOptions, filters: readonly TreeFilter[]) {
    this.#source = source;
    this.#view = view;
    this.#filters = filters;
  }

  get root(): string {
    return this.#source.root;
  }

  narrow(filter: TreeFilterOptions): Tree {
    const include = this.#includes(filter);
    const exclude = filter.exclude ?? [];
    if (include.length === 0 && exclude.length === 0) return this;
    return new SourceTree(this.#source, this.#view, [...this.#filters, new TreeFilter(include, exclude)]);
  }

  #includes(filter: TreeFilterOptions): readonly string[] {
    const include = filter.include ?? [];
    if (filter.followPaths === undefined || filter.followPaths.length === 0) return include;
    const reader = {
      readLink: (path: string) =>
        this.#filters.every((each) => each.admits(path)) ? this.#source.readLink(path) : undefined,
      listNames: (path: string) => this.#source.listNames(path),
    };
    const followed = followPaths(reader, filter.followPaths);
    // The whole root followed adds nothing to what is included, which may be everything.
    return followed === undefined ? include : (dropInner([...include, ...followed]) ?? []);
  }

  async *walk(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<readonly FileStat[], void, void> {
    const program = this.#view.xattrs === "off" ? undefined : findXattrProgram();
    if (program === undefined) {
      yield* this.#list(options.signal);
      return;
    }
    // The program reads one group's attributes while the walk collects the next.
    let previous: Promise<readonly FileStat[]> | undefined;
    try {
      for await (const group of groups(this.#list(options.signal))) {
        const ready = previous;
        previous = this.#withXattrs(program, group, options.signal);
        if (ready !== undefined) yield* inBatches(await ready);
      }
      if (previous !== undefined) yield* inBatches(await previous);
    } finally {
      previous?.catch(() => {});
    }
  }

  async #withXattrs(
    program: string,
    group: readonly FileStat[],
    signal: AbortSignal | undefined,
  ): Promise<readonly FileStat[]> {
    const places = group.map((stat) => this.#source.locate(stat.path));
    const found = await readXattrs(program, places, signal);
    if (found.size === 0) return group;
    return group.map((stat) => {
      const xattrs = found.get(this.#source.locate(stat.path));
      return xattrs === undefined ? stat : { ...stat, xattrs };
    });
  }

  async *#list(signal: AbortSignal | undefined): AsyncGenerator<readonly FileStat[], void, void> {
    signal?.throwIfAborted();
    const pacer = new Pacer();
    const listing = new Listing(this.#view);
    let visit: Visit<SourceEntry> = (entry) => listing.add(entry);
    for (const filter of this.#filters.toReversed()) visit = filter.before(visit);
    for (const _ of this.#source.walk(visit)) {
      if (!pacer.due() && listing.size < BATCH) continue;
      if (listing.size > 0) yield listing.take();
      await pacer.rest();
      signal?.throwIfAborted();
    }
    if (listing.size > 0) yield listing.take();
  }

  read(path: string, options: ReadContentOptions): AsyncGenerator<Uint8Array, void, void> {
    return readContent(this.#source.locate(path), options);
  }
}

/** Joins batches, as starting a process costs as much as listing a thousand files. */
async function* groups(
  batches: AsyncIterable<readonly FileStat[]>,
): AsyncGenerator<readonly FileStat[], void, void> {
  let group: FileStat[] = [];
  for await (const batch of batches) {
    group.push(...batch);
    if (group.length < GROUP) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

function* inBatches(group: readonly FileStat[]): Generator<readonly FileStat[], void, void> {
  for (let start = 0; start < group.length; start += BATCH) yield group.slice(start, start + BATCH);
}

/** Collects the entries of one walk and tells hard links from the files they are. */
class Listing {
  readonly #view: TreeViewOptions;
  readonly #firstLinks = new Map<string, string>();
  #batch: FileStat[] = [];

  constructor(view: TreeViewOptions) {
    this.#view = view;
  }

  get size(): number {
    return this.#batch.length;
  }

  take(): readonly FileStat[] {
    const batch = this.#batch;
    this.#batch = [];
    return batch;
  }

  /** Takes an entry that passed all filters. Returns whether what is inside is to be left out. */
  add(entry: SourceEntry): boolean {
    const found = entry.read();
    const stat = found === undefined ? undefined : applyView(found.stat, this.#view);
    if (found === undefined || stat === undefined) return true;
    if (found.inode === undefined) {
      this.#batch.push(stat);
      return false;
    }
    const first = this.#firstLinks.get(found.inode);
    if (first === undefined) this.#firstLinks.set(found.inode, stat.path);
    // With its size, as fsutil has it: else a receiver that has the link already makes it again, under a temporary name
    // that stays, as to rename one link of a file to another does nothing.
    this.#batch.push(first === undefined ? stat : { ...stat, linkname: first });
    return false;
  }
}

function applyView(stat: FileStat, view: TreeViewOptions): FileStat | undefined {
  const owned = view.ownership === "keep" ? stat : { ...stat, uid: 0, gid: 0 };
  const shown = view.permissions === "normalize" ? { ...owned, mode: normalizedMode(owned.mode) } : owned;
  if (view.map === undefined) return shown;
  const mapped = view.map(shown);
  if (mapped === undefined) return undefined;
  const kindKept = ((mapped.mode ^ stat.mode) & FileMode.TYPE) === 0;
  if (
    !kindKept ||
    mapped.path !== stat.path ||
    mapped.size !== stat.size ||
    mapped.linkname !== stat.linkname
  ) {
    throw new TypeError(`map changed the path, size, kind or link target of ${stat.path}`);
  }
  return mapped;
}
