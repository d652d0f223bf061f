import { KilnError } from "../errors.js";
import { canonicalJson } from "./canonical-json.js";
import type { Descriptor } from "./descriptor.js";
import { sha256 } from "./digest.js";
import type { HistoryEntry, ImageConfig } from "./image-config.js";
import type { ImageManifest } from "./manifest.js";
import { mediaTypes } from "./media-types.js";

/** A layer that is put on top of a base. */
export interface AddedLayer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  /** Digest of its tar without compression. */
  readonly diffId: string;
}

/** What {@link layerImage} makes an image of. */
export interface LayerImageOptions {
  /** The base's manifest, OCI's or Docker's; left out for an image that begins from nothing. */
  readonly baseManifest?: Pick<ImageManifest, "layers"> | undefined;
  /** The base's config: its `rootfs.diff_ids`, and its history where `config` has none. */
  readonly baseConfig: ImageConfig;
  /** In the order in which they are applied. */
  readonly layers: readonly AddedLayer[];
  /**
   * The config that the image is to have: all its keys are kept, but `rootfs` and `created`. Its history is that of the
   * base and of steps that made no layer, without these layers.
   */
  readonly config: ImageConfig;
  /** What the layers' lines of history name as their origin. */
  readonly createdBy: string;
  /** RFC 3339. */
  readonly created: string;
}

/** An image: its two documents as bytes, and what refers to them. */
export interface LayerImage {
  readonly config: { readonly bytes: Uint8Array; readonly descriptor: Descriptor };
  readonly manifest: { readonly bytes: Uint8Array; readonly descriptor: Descriptor };
}

const comment = "kiln";

/** Docker's names of layer formats, as OCI names them. */
const ociTypes: ReadonlyMap<string, string> = new Map([
  [mediaTypes.dockerLayer, mediaTypes.ociLayerGzip],
  ["application/vnd.docker.image.rootfs.diff.tar", mediaTypes.ociLayer],
  ["application/vnd.docker.image.rootfs.diff.tar.zstd", mediaTypes.ociLayerZstd],
]);

/**
 * Puts layers on a base: the OCI config and manifest of the image. Pure: equal input gives equal bytes, so that the image
 * has the same digest wherever it is made.
 *
 * Each layer gets a line of history; one without a time gets `created`, as BuildKit's exporter does. As there too, layers
 * of the base that its history does not name get lines of their own, and lines too many are marked as empty.
 *
 * Throws `ERR_KILN_LAYOUT_INVALID` if the base has not as many layers as its config says.
 */
export function layerImage(options: LayerImageOptions): LayerImage {
  const { baseConfig, layers, created } = options;
  const baseLayers = options.baseManifest?.layers ?? [];
  const baseIds = baseConfig.rootfs?.diff_ids ?? [];
  if (baseLayers.length !== baseIds.length) {
    throw new KilnError(
      "ERR_KILN_LAYOUT_INVALID",
      `the base image has ${baseLayers.length} layers, and its config names ${baseIds.length}`,
      { hint: "Write or push the base image again." },
    );
  }
  const config = document(mediaTypes.ociConfig, {
    ...options.config,
    created,
    rootfs: { type: "layers", diff_ids: [...baseIds, ...layers.map(({ diffId }) => diffId)] },
    history: historyOf(options, baseIds.length),
  } satisfies ImageConfig);
  const manifest = document(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: config.descriptor,
    layers: [
      ...baseLayers.map((layer) => ({
        ...layer,
        mediaType: ociTypes.get(layer.mediaType) ?? layer.mediaType,
      })),
      ...layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    ],
  } satisfies ImageManifest);
  return { config, manifest };
}

function historyOf(options: LayerImageOptions, baseLayers: number): HistoryEntry[] {
  const { config, baseConfig, created, createdBy } = options;
  const before = config.history ?? baseConfig.history ?? [];
  const named = before.filter(({ empty_layer }) => empty_layer !== true).length;
  let surplus = named - baseLayers;
  const history = before.map((entry): HistoryEntry => {
    const isSurplus = entry.empty_layer !== true && surplus > 0;
    if (isSurplus) surplus -= 1;
    return { ...entry, created: entry.created ?? created, ...(isSurplus ? { empty_layer: true } : {}) };
  });
  for (let missing = baseLayers - named; missing > 0; missing -= 1) history.push({ created, comment });
  return [...history, ...options.layers.map(() => ({ created, created_by: createdBy, comment }))];
}

function document(mediaType: string, value: object): { bytes: Uint8Array; descriptor: Descriptor } {
  const bytes = Buffer.from(canonicalJson(value));
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.length } };
}
