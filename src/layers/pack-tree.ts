import { open, rm } from "node:fs/promises";
import { KilnError } from "../errors.js";
import { changed, systemErrorCode, unreadable, unwritable } from "../fsutil/file-errors.js";
import type { ManifestEntry } from "../fsutil/manifest-entry.js";
import { SharedWork } from "../internal/shared-work.js";
import { SpareMemory } from "../internal/spare-memory.js";
import { untilAborted } from "../internal/until-aborted.js";
import { WorkerPool, workerEntry } from "../internal/worker-pool.js";
import { isBlobWhole } from "../oci/blob-file.js";
import { isDigest } from "../oci/digest.js";
import { mediaTypes } from "../oci/media-types.js";
import type { LayerBlob } from "./layer-sink.js";
import { type PackRequest, type PackResponse, packShard } from "./pack-shard.js";
import {
  measureTree,
  type NumberedRecipe,
  type ShardOptions,
  shardRecipes,
  type TreeMeasure,
  volatileRecipe,
} from "./plan-shards.js";

/** What is known of shards that were packed before, by key. */
export interface ShardMemo {
  get(shardKey: string): Promise<LayerBlob | undefined>;
  put(shardKey: string, blob: LayerBlob): Promise<void>;
}

/** Where packed layers are kept, by digest. */
export interface LayerBlobs {
  /** The file of a blob, whether or not it is there. */
  path(digest: string): string;
  has(digest: string): Promise<boolean>;
  /** A file name for a blob that is being written, on the blobs' own file system. */
  scratch(): Promise<string>;
  /** Gives a finished scratch file its place. */
  keep(scratchFile: string, digest: string): Promise<void>;
}

/** How far packing a tree has come. */
export interface PackProgress {
  /** Layers that are ready, packed or known from before. */
  readonly ready: number;
  /** Of those, how many were packed. */
  readonly packed: number;
  /** Bytes of files' contents that were packed. */
  readonly bytes: number;
}

/** A shard of a tree as it was planned before. */
export interface SettledShard {
  readonly key: string;
  /** Members that are no directories. */
  readonly files: number;
}

/** How {@link packTree} packs a tree. */
export interface PackTreeOptions extends ShardOptions {
  /**
   * The shards of all that is not volatile, where it is certain that planning would find the same, and the tree has no hard
   * links: then no more than the volatile files is looked at. Default: all is planned.
   */
  readonly settled?:
    | {
        readonly shards: readonly SettledShard[];
        readonly entryAt: (path: string) => ManifestEntry | undefined;
      }
    | undefined;
  /** The absolute path of a file of the tree. */
  readonly locate: (path: string) => string;
  readonly memo: ShardMemo;
  readonly blobs: LayerBlobs;
  /**
   * Names the place of memo and blobs: trees that are packed for one place at the same time share the layers that they
   * have in common. Default: they share nothing.
   */
  readonly place?: string | undefined;
  /**
   * False packs in the caller's thread, which is blocked meanwhile: for programs without a session. Default
   * true.
   */
  readonly threads?: boolean | undefined;
  /** Called after each shard. Must not throw. */
  readonly onProgress?: ((progress: PackProgress) => void) | undefined;
}

/** One layer of a packed tree. */
export interface PackedLayer extends LayerBlob {
  readonly mediaType: string;
  readonly shardKey: string;
  /** Members that are no directories. */
  readonly files: number;
  readonly volatile: boolean;
}

/** A tree as layers. */
export interface PackedTree {
  /** In the order in which they are to be applied, the one of volatile files last. */
  readonly layers: readonly PackedLayer[];
  /** How many of them had to be packed, as they were not known. */
  readonly packedShards: number;
  /** Whether files of the tree have further links. */
  readonly hasLinks: boolean;
  /**
   * The file of one of the layers' blobs. Packs it again if it is not there any more; its bytes are the same
   * then. Once for all who ask at once: `signal` ends the waiting, the signal of {@link packTree} ends the
   * work.
   *
   * Rejects with `ERR_KILN_BLOB_NOT_FOUND` for another digest; with `ERR_KILN_FILE_CHANGED` and others of
   * {@link packTree}'s if it cannot be packed again; with `ERR_KILN_DIGEST_MISMATCH` if the memo was wrong.
   */
  openShard(digest: string, signal?: AbortSignal): Promise<string>;
}

/** Shards of no more bytes and files are packed sooner than a thread starts: the caller is blocked for some milliseconds. */
const smallBytes = 256 * 1024;
const smallFiles = 200;

let sharedPool: WorkerPool<PackRequest, PackResponse> | undefined;

function packers(): WorkerPool<PackRequest, PackResponse> {
  sharedPool ??= new WorkerPool(workerEntry("pack-worker", import.meta.url));
  return sharedPool;
}

/** Layers that are being packed in this process, by key and place. */
const underWay = new SharedWork<LayerBlob>();

/**
 * Makes deterministic layers of a tree, in shards: see {@link planShards}. A shard whose key the memo has is
 * not packed, whether or not its blob is still there: the daemon or the registry may well have it, and
 * {@link PackedTree.openShard} makes it again for whoever asks.
 *
 * What is reproducible: tar and blob depend on the tree's paths, kinds, modes, links, contents and
 * attributes, and on the options, and on nothing else: neither on owners, on times (but with `mtime:
 * "keep"`), on the place of the tree, the machine and its architecture, nor on the version of Node or of its
 * zlib.
 *
 * Rejects with
 * - `ERR_KILN_FILE_CHANGED` for a file that is not what its entry says; nothing of its shard is kept;
 * - `ERR_KILN_FILE_UNREADABLE` and `ERR_KILN_OUTPUT_UNWRITABLE`;
 * - `ERR_KILN_UNSUPPORTED` and `ERR_KILN_LIMIT_EXCEEDED` for what no layer can hold;
 * - the signal's reason. No scratch file is left behind.
 */
export async function packTree(options: PackTreeOptions): Promise<PackedTree> {
  let measuring: Promise<TreeMeasure> | undefined;
  const measure = (): Promise<TreeMeasure> => {
    measuring ??= measureTree(options);
    return measuring;
  };
  const { layers, packed } = await new TreePacker(options, measure).run();
  const opening = new Map<string, Promise<string>>();
  return {
    layers,
    packedShards: packed,
    hasLinks: measuring !== undefined && (await measuring).links.size > 0,
    openShard(digest, signal) {
      let opened = opening.get(digest);
      if (opened === undefined) {
        opened = openShard(options, measure, layers, digest).finally(() => opening.delete(digest));
        opening.set(digest, opened);
      }
      return untilAborted(opened, signal);
    },
  };
}

class TreePacker {
  readonly #options: PackTreeOptions;
  readonly #measure: () => Promise<TreeMeasure>;
  readonly #layers: PackedLayer[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #memory = new SpareMemory();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #ready = 0;
  #packed = 0;
  #bytes = 0;

  constructor(options: PackTreeOptions, measure: () => Promise<TreeMeasure>) {
    this.#options = options;
    this.#measure = measure;
    const { signal } = options;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  async run(): Promise<{ layers: readonly PackedLayer[]; packed: number }> {
    const most = this.#options.threads === false ? 1 : packers().size + 1;
    try {
      let index = await this.#settle();
      for await (const recipe of this.#recipes(index > 0)) {
        const known = await this.#options.memo.get(recipe.key);
        this.#signal.throwIfAborted();
        if (known !== undefined && isBlob(known)) this.#finish(index, recipe, known);
        else this.#start(index, recipe);
        index += 1;
        // No more recipes in memory than threads that wait for one.
        while (this.#running.size >= most) await Promise.race(this.#running);
      }
      await Promise.all(this.#running);
      this.#signal.throwIfAborted();
    } catch (error) {
      this.#stop.abort(error);
      await Promise.all(this.#running);
      throw error;
    }
    return { layers: this.#layers, packed: this.#packed };
  }

  /** Takes the shards that are settled, if all are known; how many. */
  async #settle(): Promise<number> {
    const { settled, memo } = this.#options;
    const shards = settled?.shards ?? [];
    const blobs: LayerBlob[] = [];
    for (const { key } of shards) {
      const known = await memo.get(key);
      this.#signal.throwIfAborted();
      if (known === undefined || !isBlob(known)) return 0;
      blobs.push(known);
    }
    for (const [index, blob] of blobs.entries()) {
      const shard = shards[index];
      if (shard !== undefined) this.#finish(index, { ...shard, volatile: false }, blob);
    }
    return blobs.length;
  }

  async *#recipes(isSettled: boolean): AsyncGenerator<NumberedRecipe, void, void> {
    const options = { ...this.#options, signal: this.#signal };
    const { settled } = options;
    if (settled === undefined || !isSettled) {
      yield* shardRecipes(options, await this.#measure());
      return;
    }
    const recipe = volatileRecipe(options, settled.entryAt);
    if (recipe !== undefined) yield recipe;
  }

  /** Packs a shard beside others. A failure ends them all: it is the reason of the signal. */
  #start(index: number, recipe: NumberedRecipe): void {
    const task = this.#pack(index, recipe)
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  async #pack(index: number, recipe: NumberedRecipe): Promise<void> {
    const { contentBytes, key } = recipe;
    const { memo, place } = this.#options;
    // The recipe's own memory is used again for the next one.
    const [bytes, sources] = [this.#memory.copy(recipe.bytes()), this.#memory.copy(recipe.sources())];
    const pack = async (signal: AbortSignal): Promise<LayerBlob> => {
      const packed = await packToBlobs({ ...this.#options, signal }, recipe, { bytes, sources });
      await memo.put(key, packed);
      return packed;
    };
    const blob = await (place === undefined
      ? pack(this.#signal)
      : underWay.join(`${key} ${place}`, pack, this.#signal));
    this.#memory.give(bytes);
    this.#memory.give(sources);
    this.#packed += 1;
    this.#bytes += contentBytes;
    this.#finish(index, recipe, blob);
  }

  #finish(
    index: number,
    { key, files, volatile }: SettledShard & Pick<NumberedRecipe, "volatile">,
    { digest, size, diffId }: LayerBlob,
  ): void {
    const { compression, onProgress } = this.#options;
    const mediaType = compression === "gzip" ? mediaTypes.ociLayerGzip : mediaTypes.ociLayer;
    this.#layers[index] = { mediaType, digest, size, diffId, shardKey: key, files, volatile };
    this.#ready += 1;
    onProgress?.({ ready: this.#ready, packed: this.#packed, bytes: this.#bytes });
  }
}

async function openShard(
  options: PackTreeOptions,
  measure: () => Promise<TreeMeasure>,
  layers: readonly PackedLayer[],
  digest: string,
): Promise<string> {
  const { blobs } = options;
  const index = layers.findIndex((layer) => layer.digest === digest);
  if (index < 0) throw new KilnError("ERR_KILN_BLOB_NOT_FOUND", `no layer of the tree is ${digest}`);
  // It may have lain there for long.
  if ((await blobs.has(digest)) && (await isBlobWhole(blobs.path(digest), digest))) return blobs.path(digest);
  let at = 0;
  for await (const recipe of shardRecipes(options, await measure())) {
    if (at === index) {
      // A copy: the memory of the recipe is used again.
      const [bytes, sources] = [new Uint8Array(recipe.bytes()), new Uint8Array(recipe.sources())];
      await packToBlobs(options, recipe, { bytes, sources, wanted: digest });
      return blobs.path(digest);
    }
    at += 1;
  }
  throw new TypeError("the tree has fewer shards than it had");
}

/** Packs a shard, a large one on a thread, and keeps its blob, unless that is not the one that is `wanted`. */
async function packToBlobs(
  { blobs, signal, threads = true }: PackTreeOptions,
  recipe: NumberedRecipe,
  {
    bytes,
    sources,
    wanted,
  }: { readonly wanted?: string } & Pick<PackRequest, "sources"> & {
      readonly bytes: PackRequest["recipe"];
    },
): Promise<LayerBlob> {
  const out = await blobs.scratch();
  try {
    // Made here: a thread that is ended must not make it after it was removed.
    await makeFile(out);
    const request: PackRequest = { recipe: bytes, sources, out };
    signal?.throwIfAborted();
    const small = recipe.contentBytes <= smallBytes && recipe.files <= smallFiles;
    const response = threads && !small ? await packers().run(request, { signal }) : packShard(request);
    if (response.problem === "changed") throw changed(response.path, response.how);
    if (response.problem === "unreadable") throw unreadable(response.path, { code: response.code });
    if (response.problem === "refused")
      throw new KilnError(response.code, response.message, { hint: response.hint });
    if (wanted !== undefined && response.digest !== wanted) throw mismatch(wanted, response.digest);
    await blobs.keep(out, response.digest);
    return response;
  } catch (error) {
    await rm(out, { force: true });
    if (error instanceof KilnError || systemErrorCode(error) === undefined || signal?.aborted === true)
      throw error;
    throw unwritable(out, error);
  }
}

async function makeFile(path: string): Promise<void> {
  const file = await open(path, "w");
  await file.close();
}

function mismatch(wanted: string, found: string): KilnError {
  return new KilnError("ERR_KILN_DIGEST_MISMATCH", `a layer was known as ${wanted}, and is ${found}`, {
    hint: "What is known of layers is damaged: delete the cache index, and build again.",
  });
}

/** What a memo has may come from a damaged file. */
function isBlob({ digest, size, diffId }: LayerBlob): boolean {
  return isDigest(digest) && isDigest(diffId) && Number.isSafeInteger(size) && size > 0;
}
