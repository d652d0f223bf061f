import type { Descriptor } from "./descriptor.js";
import { type Digest, sha256 } from "./digest.js";
import type { ImageConfig } from "./image-config.js";
import type { ImageManifest } from "./manifest.js";
import { mediaTypes } from "./media-types.js";

/** A blob that is at hand. */
export interface MadeBlob {
  readonly descriptor: Descriptor & { readonly digest: Digest };
  readonly bytes: Buffer;
}

/** An image without its layers. */
export interface MadeImage {
  readonly config: MadeBlob;
  readonly manifest: MadeBlob;
}

const dockerTypes: ReadonlyMap<string, string> = new Map([
  [mediaTypes.ociLayerGzip, mediaTypes.dockerLayer],
  [mediaTypes.ociLayer, "application/vnd.docker.image.rootfs.diff.tar"],
]);

/**
 * The image of a config and the layers that it names, in OCI's media types or Docker's. Equal input gives equal bytes.
 *
 * `config.rootfs` must have one diff id for each layer; throws `TypeError` otherwise.
 */
export function imageOfLayers(
  config: ImageConfig,
  layers: readonly Descriptor[],
  types: "oci" | "docker" = "oci",
): MadeImage {
  if (config.rootfs?.diff_ids.length !== layers.length) {
    throw new TypeError(`a config of ${config.rootfs?.diff_ids.length ?? 0} layers for ${layers.length}`);
  }
  const isOci = types === "oci";
  const made = blob(config, isOci ? mediaTypes.ociConfig : mediaTypes.dockerConfig);
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: isOci ? mediaTypes.ociManifest : mediaTypes.dockerManifest,
    config: made.descriptor,
    layers: layers.map(({ mediaType, digest, size }) => ({
      mediaType: isOci ? mediaType : (dockerTypes.get(mediaType) ?? mediaType),
      digest,
      size,
    })),
  };
  return { config: made, manifest: blob(manifest, manifest.mediaType ?? "") };
}

function blob(value: unknown, mediaType: string): MadeBlob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.length } };
}
