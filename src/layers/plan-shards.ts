import { KilnError } from "../errors.js";
import { comparePaths } from "../fsutil/byte-order.js";
import { isDirectoryMode } from "../fsutil/file-mode.js";
import type { ManifestEntry } from "../fsutil/manifest-entry.js";
import { Pacer } from "../fsutil/pacer.js";
import type { LayerCompression } from "./layer-sink.js";
import { CutFinder } from "./path-cuts.js";
import { isHardLink, type LayerTime, RecipeSpace, RecipeWriter, type ShardRecipe } from "./shard-recipe.js";

/** Where in the image a tree goes. */
export interface LayerTarget {
  /** Clean path without a slash at its ends, e.g. `app/src`; empty for the root. */
  readonly prefix: string;
  /**
   * Which of it and its parents have to be made, with mode 0755: parents first. Others must be in the image
   * below.
   */
  readonly makeDirs: readonly string[];
}

/** A tree and how it goes into layers: all that the shards' keys depend on. */
export interface ShardOptions {
  /**
   * The tree, in protocol order (depth-first, siblings in byte order), with every directory before what is in
   * it. Called more than once, and has to give the same each time.
   */
  readonly entries: () => Iterable<ManifestEntry>;
  readonly target: LayerTarget;
  readonly mtime: LayerTime;
  readonly compression: LayerCompression;
  /** Paths (of no directories) that go into a last layer of their own, as they are known to change. */
  readonly volatile?: ReadonlySet<string> | undefined;
  /** Layers at most, the one of volatile files not counted. Default 32. */
  readonly maxShards?: number | undefined;
  /** The absolute path of a file of the tree; needed to pack. No part of the keys. */
  readonly locate?: ((path: string) => string) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One layer of a tree. */
export interface PlannedShard {
  /** sha256 in hex over all that makes the layer: equal keys are equal layers, byte for byte. */
  readonly key: string;
  /** Members that are no directories. */
  readonly files: number;
  /** Bytes of their contents. */
  readonly bytes: number;
  readonly volatile: boolean;
}

/** Layers at most, by default. */
const defaultShards = 32;
/** Names that mean in a layer that something below is gone. */
const whiteout = ".wh.";

/**
 * Splits a tree into shards, in the order in which their layers are to be applied. Reads no file.
 *
 * How: see {@link CutFinder}. Each shard has the directories that lead to its files, so that their modes are
 * right in whatever order layers are applied. Further links to a file go into that file's shard, wherever
 * their own place would be: they stay links, as BuildKit's copy keeps them; volatile is a group of links if
 * its first path is.
 *
 * Rejects with `ERR_KILN_UNSUPPORTED` for names that begin with `.wh.`, which no layer can hold, and for
 * files of unknown kinds; with the signal's reason when aborted. Never blocks the event loop for more than
 * some milliseconds.
 */
export async function planShards(options: ShardOptions): Promise<readonly PlannedShard[]> {
  const cuts = await measureTree(options);
  const shards: PlannedShard[] = [];
  for await (const { key, files, contentBytes, volatile } of shardRecipes(options, cuts)) {
    shards.push({ key, files, bytes: contentBytes, volatile });
  }
  return shards;
}

/** A hard link and the directories that lead to it. */
interface MovedLink {
  readonly entry: ManifestEntry;
  readonly parents: readonly ManifestEntry[];
}

/** What one walk over a tree found out, for the walks that make its shards. */
export interface TreeMeasure {
  /** Indices of the entries that shards after the first begin with. */
  readonly cuts: readonly number[];
  /** By the path of the file: its further links. */
  readonly links: ReadonlyMap<string, readonly MovedLink[]>;
}

/** A recipe and whether it is that of the volatile files. */
export interface NumberedRecipe extends ShardRecipe {
  readonly volatile: boolean;
}

/** First walk over a tree; rejects like {@link planShards}. */
export async function measureTree(options: ShardOptions): Promise<TreeMeasure> {
  checkTarget(options.target);
  const { maxShards = defaultShards } = options;
  if (!Number.isSafeInteger(maxShards) || maxShards < 1)
    throw new TypeError("maxShards is no whole number above 0");
  const finder = new CutFinder();
  const links = new Map<string, MovedLink[]>();
  const parents = new ParentStack();
  const pacer = new Pacer();
  for (const entry of options.entries()) {
    checkName(entry.path);
    parents.enter(entry);
    finder.add(entry);
    if (isHardLink(entry)) {
      const group = links.get(entry.linkname) ?? [];
      group.push({ entry, parents: parents.above(entry) });
      links.set(entry.linkname, group);
    }
    if (!pacer.due()) continue;
    await pacer.rest();
    options.signal?.throwIfAborted();
  }
  return { cuts: finder.find(maxShards), links };
}

/** Second walk: the shards' recipes in order, one at a time; each is to be copied before the next one. */
export async function* shardRecipes(
  options: ShardOptions,
  measure: TreeMeasure,
): AsyncGenerator<NumberedRecipe, void, void> {
  const shards = new ShardWriter(options, measure);
  const pacer = new Pacer();
  for (const entry of options.entries()) {
    const done = shards.cut();
    if (done !== undefined) {
      yield { ...done, volatile: false };
      pacer.begin();
    }
    shards.add(entry);
    if (!pacer.due()) continue;
    await pacer.rest();
    options.signal?.throwIfAborted();
  }
  for (const { recipe, volatile } of shards.end()) yield { ...recipe, volatile };
}

/**
 * The recipe of the volatile files alone, for a tree without hard links: what {@link shardRecipes} ends with. `undefined` if
 * the tree has none of them.
 */
export function volatileRecipe(
  options: ShardOptions,
  entryAt: (path: string) => ManifestEntry | undefined,
): NumberedRecipe | undefined {
  const shard = new Shard(options, new Map(), new RecipeSpace());
  const parentsOf = (path: string): ManifestEntry[] =>
    path.split("/").flatMap((_, depth, names) => {
      const parent = depth === 0 ? undefined : entryAt(names.slice(0, depth).join("/"));
      return parent === undefined ? [] : [parent];
    });
  for (const path of [...(options.volatile ?? [])].sort(comparePaths)) {
    const entry = entryAt(path);
    if (entry !== undefined && !isDirectoryMode(entry.mode)) shard.add(entry, parentsOf(path));
  }
  const recipe = shard.finish();
  return recipe === undefined ? undefined : { ...recipe, volatile: true };
}

class ShardWriter {
  readonly #options: ShardOptions;
  readonly #measure: TreeMeasure;
  readonly #parents = new ParentStack();
  readonly #space = new RecipeSpace();
  readonly #volatile: Shard;
  #shard: Shard | undefined;
  #any = false;
  #index = 0;
  /** Cuts that were passed. */
  #cuts = 0;
  /** Files found that have further links. */
  #linked = 0;

  constructor(options: ShardOptions, measure: TreeMeasure) {
    this.#options = options;
    this.#measure = measure;
    this.#volatile = new Shard(options, measure.links, new RecipeSpace());
  }

  /** The shard that ends before the next entry, if one does. */
  cut(): ShardRecipe | undefined {
    const isCut = this.#measure.cuts[this.#cuts] === this.#index;
    this.#index += 1;
    if (!isCut) return undefined;
    this.#cuts += 1;
    return this.#close();
  }

  /** Adds an entry to its shard. */
  add(entry: ManifestEntry): void {
    this.#parents.enter(entry);
    const first = isHardLink(entry) ? entry.linkname : entry.path;
    if (this.#measure.links.has(entry.path)) this.#linked += 1;
    const isVolatile = !isDirectoryMode(entry.mode) && this.#options.volatile?.has(first) === true;
    this.#shard ??= this.#begin();
    const shard = isVolatile ? this.#volatile : this.#shard;
    // A link whose file is in a shard before this one went there.
    if (first === entry.path || shard.holds(first)) shard.add(entry, this.#parents.above(entry));
  }

  /** The last shards; at least one if there is a directory to be made. */
  end(): { recipe: ShardRecipe; volatile: boolean }[] {
    if (this.#linked < this.#measure.links.size)
      throw new TypeError("the manifest has links to files that it lacks");
    const last = this.#close();
    const changing = this.#volatile.finish();
    const ends = [
      ...(last === undefined ? [] : [{ recipe: last, volatile: false }]),
      ...(changing === undefined ? [] : [{ recipe: changing, volatile: true }]),
    ];
    if (this.#any || changing !== undefined || this.#options.target.makeDirs.length === 0) return ends;
    return [{ recipe: this.#begin().finishEmpty(), volatile: false }];
  }

  /** Begun only for an entry: a recipe that was given out is overwritten. */
  #begin(): Shard {
    return new Shard(this.#options, this.#measure.links, this.#space);
  }

  #close(): ShardRecipe | undefined {
    const done = this.#shard?.finish();
    this.#shard = undefined;
    if (done !== undefined) this.#any = true;
    return done;
  }
}

/** One shard that is being written. */
class Shard {
  readonly #writer: RecipeWriter;
  readonly #links: TreeMeasure["links"];
  /** Directories that lead to what was added last. */
  #open: string[] = [];
  /** Links of this shard's files, by file, as long as there are some to come. */
  readonly #expected = new Map<string, MovedLink[]>();
  #isEmpty = true;

  constructor(options: ShardOptions, links: TreeMeasure["links"], space: RecipeSpace) {
    const { target, mtime: time, compression, locate } = options;
    this.#writer = new RecipeWriter({ prefix: target.prefix, time, compression, locate }, space);
    this.#links = links;
    for (const path of target.makeDirs) this.#writer.addMade(path);
  }

  /** Whether the shard has the file of that path, and links to it may follow. */
  holds(path: string): boolean {
    return this.#expected.has(path);
  }

  add(entry: ManifestEntry, parents: readonly ManifestEntry[]): void {
    this.#isEmpty = false;
    let depth = 0;
    while (depth < parents.length && this.#open[depth] === parents[depth]?.path) depth += 1;
    this.#open.length = depth;
    for (const parent of parents.slice(depth)) {
      this.#writer.add(parent);
      this.#open.push(parent.path);
    }
    this.#writer.add(entry);
    if (isDirectoryMode(entry.mode)) this.#open.push(entry.path);
    if (isHardLink(entry)) {
      this.#expected.get(entry.linkname)?.shift();
      return;
    }
    const links = this.#links.get(entry.path);
    if (links !== undefined) this.#expected.set(entry.path, [...links]);
  }

  /** The recipe with the links that are still to come, or nothing if nothing was added. */
  finish(): ShardRecipe | undefined {
    if (this.#isEmpty) return undefined;
    const moved = [...this.#expected.values()].flat();
    moved.sort((a, b) => comparePaths(a.entry.path, b.entry.path));
    for (const { entry, parents } of moved) this.add(entry, parents);
    return this.#writer.finish();
  }

  /** The recipe of nothing but the directories on the way. */
  finishEmpty(): ShardRecipe {
    return this.#writer.finish();
  }
}

/** The directories that lead to an entry of a walk. */
class ParentStack {
  #stack: ManifestEntry[] = [];
  #copy: readonly ManifestEntry[] | undefined;

  /** Goes on to the next entry. */
  enter(entry: ManifestEntry): void {
    let depth = this.#stack.length;
    while (depth > 0 && !entry.path.startsWith(`${this.#stack[depth - 1]?.path}/`)) depth -= 1;
    if (depth < this.#stack.length) {
      this.#stack.length = depth;
      this.#copy = undefined;
    }
    if (!isDirectoryMode(entry.mode)) return;
    this.#stack.push(entry);
    this.#copy = undefined;
  }

  /** Those above the entry that was entered last. */
  above(entry: ManifestEntry): readonly ManifestEntry[] {
    this.#copy ??= [...this.#stack];
    return isDirectoryMode(entry.mode) ? this.#copy.slice(0, -1) : this.#copy;
  }
}

function checkTarget({ prefix, makeDirs }: LayerTarget): void {
  const isClean = prefix === "" || prefix.split("/").every((part) => !["", ".", ".."].includes(part));
  if (!isClean) throw new TypeError(`not a clean path: ${JSON.stringify(prefix)}`);
  for (const path of makeDirs) {
    if (path === "" || !`${prefix}/`.startsWith(`${path}/`)) {
      throw new TypeError(`${JSON.stringify(path)} does not lead to ${JSON.stringify(prefix)}`);
    }
  }
}

function checkName(path: string): void {
  if (!path.includes(whiteout)) return;
  if (!path.slice(path.lastIndexOf("/") + 1).startsWith(whiteout)) return;
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `${path} cannot be put into a layer: its name begins with .wh.`,
    {
      hint: "In a layer such a name says that a file is gone. Rename it, or leave it out with an ignore pattern.",
    },
  );
}
