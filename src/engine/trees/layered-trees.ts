import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { CacheIndex } from "../../cache/records/cache-index.js";
import { KilnError } from "../../errors.js";
import type { LayersQuestion } from "../../image/layers-question.js";
import type { LayerBlob } from "../../layers/layer-sink.js";
import { type PackedTree, packTree, type ShardMemo } from "../../layers/pack-tree.js";
import { planShards, type ShardOptions } from "../../layers/plan-shards.js";
import { movingSources } from "../../llb/moving-sources.js";
import type { DaemonFacts } from "../../model/daemon.js";
import type { Plan } from "../../model/plan.js";
import type { TreeWay } from "../../model/tree-way.js";
import { isBlobWhole } from "../../oci/blob-file.js";
import type { Digest } from "../../oci/digest.js";
import type { ImageConfig } from "../../oci/image-config.js";
import { imageOfLayers } from "../../oci/image-of-layers.js";
import type { ImageManifest } from "../../oci/manifest.js";
import type { ContentStore } from "../../session/content-store.js";
import type { DescribedImage, DescribeImageOptions } from "../../solver/image-manifest.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import type { ForeseenWay } from "../forecast-build.js";
import { blobStore } from "./blob-store.js";
import type { ScannedInput } from "./scan-inputs.js";
import { keepShards, settledShards } from "./settled-shards.js";
import { volatileFiles } from "./volatile-files.js";

/** Trees of fewer files and bytes than these are sent file by file: layers have a price of their own. */
const layeredFiles = 1_000;
const layeredBytes = 64 * 1024 * 1024;

/** Layers that a tree becomes at most, and that an image may have in all (overlay file systems take 127). */
const treeLayers = 33;
const imageLayers = 120;

/** Id of the content store that serves images with trees on top. */
const storeId = "kiln-trees";

/** 1980-01-01T00:00:02Z: see `defaultFileTime` of the chain's copies. */
const defaultFileTime = 315_532_802;

/** What {@link LayeredTrees} works with. */
export interface LayeredTreesOptions {
  readonly facts: DaemonFacts;
  readonly settings: SolveSettings;
  readonly index: CacheIndex;
  readonly scans: ReadonlyMap<string, ScannedInput>;
  readonly sourceDateEpoch: number | undefined;
  /** Steps are told to run whatever is cached. */
  readonly forced: boolean;
  /** Called before something of the chain is solved on its own, and when it need not be. */
  readonly expect: (question: LayersQuestion, solved: boolean) => void;
  /** Has the daemon build what is below a tree, and tell it; `undefined` = no daemon is asked. */
  readonly describe: ((image: BelowTree) => Promise<DescribedImage>) | undefined;
}

/** The image below a tree, and the directory that the tree goes to. */
export type BelowTree = Pick<DescribeImageOptions, "definition" | "config" | "directory">;

/** Thrown if nobody may be asked what is below a tree, and the index does not know. */
export class UnknownLayers extends Error {}

/** An image that ends with a tree, as it was made here. */
export interface LayeredImage {
  readonly question: LayersQuestion;
  readonly base: Pick<DescribedImage, "manifest" | "config">;
  readonly packed: PackedTree;
}

/** How a tree comes to the daemon, and why so. */
export interface DecidedWay {
  readonly id: string;
  readonly step: number;
  readonly way: TreeWay["kind"];
  readonly why: string;
}

/**
 * Puts copied trees onto the image so far as layers that were made here, where that is the cheaper way.
 *
 * The layers below are told by the daemon, which keeps them: only what is in the tree leaves this machine, and of that only
 * the layers that the daemon does not have.
 */
export class LayeredTrees {
  /** For the session. */
  readonly stores: ReadonlyMap<string, ContentStore>;
  readonly decided: DecidedWay[] = [];
  readonly images: LayeredImage[] = [];
  readonly #options: LayeredTreesOptions;
  readonly #prefixKeys: string[] = [];
  #lost = false;
  #sentBytes = 0;

  constructor(options: LayeredTreesOptions) {
    this.#options = options;
    const store = blobStore(options.index.blobs, {
      onMissing: () => {
        this.#lost = true;
      },
      onSent: (bytes) => {
        this.#sentBytes += bytes;
      },
      remake: (digest) => this.#remake(digest),
    });
    this.stores = new Map([[`oci:${storeId}`, store]]);
  }

  /** Whether the daemon asked for a layer that only it could have: it has lost what it told of. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Bytes of layers that the daemon asked for. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Forgets what the daemon told, so that the next build asks it again. */
  async forget(): Promise<void> {
    for (const key of this.#prefixKeys) await this.#options.index.remove("prefixes", key);
  }

  /**
   * Decides how a tree comes to the daemon; for layers, makes them. `identity` is the chain compiled with names that say
   * what its trees hold. Rejects as solves do, and as packing does; with
   * {@link UnknownLayers} where a daemon would have to be asked and none may be.
   */
  async way(question: LayersQuestion, identity: Plan): Promise<TreeWay> {
    const obstacle = this.#obstacle(question);
    if (obstacle !== undefined) return this.#local(question, obstacle);
    const base = await this.#base(question, identity);
    if (typeof base === "string") return this.#local(question, base);
    const spare = imageLayers - base.manifest.layers.length;
    if (spare < 2)
      return this.#local(question, `the image has ${base.manifest.layers.length} layers already`);
    const scan = this.#scan(question);
    const packed = await this.#pack(question, base, Math.min(treeLayers, spare) - 1);
    if (typeof packed === "string") return this.#local(question, packed);
    if (packed.layers.length === 0) return this.#local(question, "it is empty");
    const image = { question, base, packed };
    this.images.push(image);
    const digest = await this.#keepImage(image);
    this.#decide(question, "layers", `${scan.manifest.files} files as ${packed.layers.length} layers`);
    return { kind: "layers", store: storeId, digest, layers: packed.layers.length };
  }

  /** What {@link way} would decide, as far as that can be told without solving or packing anything. */
  async foresee(question: LayersQuestion, identity: Plan): Promise<ForeseenWay> {
    const local = { question, way: "local", bytes: undefined } as const;
    if (this.#obstacle(question) !== undefined) return local;
    const { before, to, config } = question;
    const { index } = this.#options;
    const base =
      before === undefined
        ? emptyBase(to, config)
        : await index.read("prefixes", this.#prefixKey(question, identity));
    const scan = this.#scan(question);
    // What is at the place is not known yet: mostly nothing.
    if (!isDescribed(base)) return { question, way: "layers", bytes: scan.manifest.bytes };
    if (base.target.occupied || base.manifest.layers.length > imageLayers - 2) return local;
    try {
      const shards = await planShards(await this.#shardOptions(question, base, treeLayers - 1));
      let bytes = 0;
      for (const shard of shards) {
        if ((await index.read("shards", shard.key)) === undefined) bytes += shard.bytes;
      }
      return { question, way: "layers", bytes };
    } catch (error) {
      if (isLocalReason(error)) return local;
      throw error;
    }
  }

  /** The tree as layers; a text = why it cannot be any. */
  async #pack(
    question: LayersQuestion,
    base: DescribedImage,
    maxShards: number,
  ): Promise<PackedTree | string> {
    const { index } = this.#options;
    const scan = this.#scan(question);
    try {
      const options = await this.#shardOptions(question, base, maxShards);
      const shards = await settledShards(index, scan, options);
      const packed = await packTree({
        ...options,
        locate: scan.locate,
        memo: shardMemo(index),
        blobs: index.blobs,
        place: index.dir,
        settled: shards && { shards, entryAt: (path) => scan.manifest.entryAt(path) },
      });
      await keepShards(index, scan, options, packed);
      return packed;
    } catch (error) {
      if (isLocalReason(error)) return error.message;
      throw error;
    }
  }

  async #shardOptions(
    question: LayersQuestion,
    { target }: DescribedImage,
    maxShards: number,
  ): Promise<ShardOptions> {
    const scan = this.#scan(question);
    const { index, sourceDateEpoch, settings } = this.#options;
    return {
      entries: () => scan.manifest.entries(),
      target: { prefix: target.path, makeDirs: target.missing },
      mtime: question.keepMtime ? "keep" : { seconds: sourceDateEpoch ?? defaultFileTime },
      compression: "gzip",
      maxShards,
      volatile: await volatileFiles(index, scan),
      signal: settings.signal,
    };
  }

  #obstacle(question: LayersQuestion): string | undefined {
    const { facts, settings, index, scans } = this.#options;
    if (!index.enabled) return "the index is off";
    const scan = scans.get(question.tree);
    if (scan === undefined) return "it was not scanned";
    const { files, bytes } = scan.manifest;
    if (files < layeredFiles && bytes < layeredBytes) return "it is small";
    if (facts.store === "classic") return "the daemon's image store takes no layers";
    if (facts.llbCaps.size > 0 && !facts.llbCaps.has("source.ocilayout")) {
      return "the daemon reads no OCI layouts";
    }
    const { attestations, cacheExports, cacheImports, chooseOutputs, verifySource, sourcePolicy } = settings;
    // Layers are no step of the daemon's: what describes or judges steps and sources would not see the tree.
    if (attestations !== undefined) return "attestations tell of the daemon's own steps";
    if ((cacheExports ?? []).length + (cacheImports ?? []).length > 0)
      return "caches hold the daemon's own steps";
    if (chooseOutputs !== undefined) return "outputs are chosen later";
    if (verifySource !== undefined || sourcePolicy !== undefined) return "sources are judged by a policy";
    for (const output of settings.outputs ?? []) {
      if (!("options" in output) || !("compression" in output.options)) continue;
      const { compression, forceCompression } = output.options;
      if (compression !== undefined && compression !== "gzip" && forceCompression !== true) {
        return `an output wants its layers ${compression}`;
      }
    }
    const moving = question.before === undefined ? [] : movingSources(question.before);
    return moving.length === 0 ? undefined : `${moving[0]} may change`;
  }

  /** What is below the tree, and where the tree goes; a text = why it cannot go there as layers. */
  async #base(question: LayersQuestion, identity: Plan): Promise<DescribedImage | string> {
    const { before, to, config } = question;
    if (before === undefined) return emptyBase(to, config);
    const { index, forced, expect, describe } = this.#options;
    const key = this.#prefixKey(question, identity);
    this.#prefixKeys.push(key);
    const found = forced ? undefined : await index.read("prefixes", key);
    let described = isDescribed(found) ? found : undefined;
    if (described !== undefined) expect(question, false);
    else if (describe === undefined) throw new UnknownLayers();
    else {
      expect(question, true);
      try {
        described = await describe({ definition: before, config, directory: to });
      } catch (error) {
        if (error instanceof KilnError && error.code === "ERR_KILN_UNSUPPORTED") return error.message;
        throw error;
      }
      await index.write("prefixes", key, described);
    }
    return described.target.occupied ? `something is in ${to} already` : described;
  }

  #prefixKey({ id, to, config }: LayersQuestion, identity: Plan): string {
    const before = identity.copies.find((copy) => copy.id === id)?.before ?? "";
    return hash(["prefix v1", this.#options.facts.address, before, to, JSON.stringify(config)]);
  }

  #scan({ tree, title }: LayersQuestion): ScannedInput {
    const scan = this.#options.scans.get(tree);
    if (scan === undefined) throw new TypeError(`${title}: its tree was not scanned`);
    return scan;
  }

  /** Puts manifest and config of the image where the session serves them; the manifest's digest. */
  async #keepImage({ question, base, packed }: LayeredImage): Promise<Digest> {
    const { blobs } = this.#options.index;
    const diffIds = [...(base.config.rootfs?.diff_ids ?? []), ...packed.layers.map(({ diffId }) => diffId)];
    const { config, manifest } = imageOfLayers(
      // What the daemon reads of it are its layers: without times it is the same in every build of these.
      { ...question.config, rootfs: { type: "layers", diff_ids: diffIds }, history: [] },
      [...base.manifest.layers, ...packed.layers],
    );
    for (const { descriptor, bytes } of [config, manifest]) {
      const { digest, size } = descriptor;
      if ((await blobs.has(digest)) && (await isBlobWhole(blobs.path(digest), digest, { size }))) continue;
      const scratch = await blobs.scratch();
      await writeFile(scratch, bytes);
      await blobs.keep(scratch, descriptor.digest);
    }
    return manifest.descriptor.digest;
  }

  async #remake(digest: Digest): Promise<boolean> {
    for (const { packed } of this.images) {
      if (!packed.layers.some((layer) => layer.digest === digest)) continue;
      await packed.openShard(digest, this.#options.settings.signal);
      return true;
    }
    return false;
  }

  #local(question: LayersQuestion, why: string): TreeWay {
    this.#decide(question, "local", why);
    return { kind: "local" };
  }

  #decide({ id, step }: LayersQuestion, way: TreeWay["kind"], why: string): void {
    this.decided.push({ id, step, way, why });
  }
}

/** When a layer says that it was made. */
export function createdTime(sourceDateEpoch: number | undefined): string {
  return new Date((sourceDateEpoch ?? defaultFileTime) * 1000).toISOString();
}

function emptyBase(to: string, config: ImageConfig): DescribedImage {
  const names = to.split("/").filter((name) => name !== "");
  const manifest: ImageManifest = {
    schemaVersion: 2,
    config: { mediaType: "", digest: "", size: 0 },
    layers: [],
  };
  return {
    manifest,
    config: { ...config, rootfs: { type: "layers", diff_ids: [] }, history: [] },
    target: {
      path: names.join("/"),
      missing: names.map((_, index) => names.slice(0, index + 1).join("/")),
      occupied: false,
    },
  };
}

function isDescribed(value: unknown): value is DescribedImage {
  return typeof value === "object" && value !== null && "manifest" in value && "target" in value;
}

function shardMemo(index: CacheIndex): ShardMemo {
  return {
    async get(key) {
      const found = await index.read("shards", key);
      return isBlob(found) ? found : undefined;
    },
    put: (key, blob) => index.write("shards", key, blob),
  };
}

function isBlob(value: unknown): value is LayerBlob {
  if (typeof value !== "object" || value === null) return false;
  const [digest, diffId, size] = ["digest", "diffId", "size"].map((key): unknown => Reflect.get(value, key));
  return typeof digest === "string" && typeof diffId === "string" && typeof size === "number";
}

/** Names and attributes that no layer can hold; an index that has no room. */
function isLocalReason(error: unknown): error is KilnError {
  const codes = ["ERR_KILN_UNSUPPORTED", "ERR_KILN_LIMIT_EXCEEDED", "ERR_KILN_OUTPUT_UNWRITABLE"];
  return error instanceof KilnError && codes.includes(error.code);
}

function hash(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
