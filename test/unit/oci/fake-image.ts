import { createHash } from "node:crypto";
import type { Descriptor, ImageStore } from "../../../src/oci/index.js";
import {
  initOciLayout,
  mediaTypes,
  openOciLayout,
  parsePlatform,
  updateOciIndex,
  writeBlob,
} from "../../../src/oci/index.js";

/** What {@link writeFakeImage} makes an image of. */
export interface FakeImage {
  /** Told apart by it; its config has it as a label. */
  readonly label: string;
  /** Contents of the layers, which are no tars. */
  readonly layers: readonly (string | Uint8Array)[];
  readonly architecture?: string;
}

/** Writes an image's blobs into a layout, without an entry in its index; gives its manifest's descriptor. */
export async function writeFakeManifest(dir: string, image: FakeImage): Promise<Descriptor> {
  await initOciLayout(dir);
  const architecture = image.architecture ?? "amd64";
  const json = (value: object) => writeBlob(dir, Buffer.from(JSON.stringify(value)));
  const layers: Descriptor[] = [];
  for (const content of image.layers) {
    layers.push({ mediaType: mediaTypes.ociLayer, ...(await writeBlob(dir, Buffer.from(content))) });
  }
  const config = await json({
    ...{ architecture, os: "linux", config: { Labels: { label: image.label } } },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = await json({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, ...config },
    layers,
  });
  return { mediaType: mediaTypes.ociManifest, ...manifest };
}

/** Writes an image into a layout under a tag. */
export async function writeFakeImage(dir: string, image: FakeImage, tag = "latest"): Promise<Descriptor> {
  const descriptor = await writeFakeManifest(dir, image);
  await updateOciIndex(dir, descriptor, { tag, imageName: `docker.io/library/${tag}:latest` });
  return descriptor;
}

/** Writes an index of images for several processors, with an attestation as BuildKit adds it. */
export async function writeFakeIndex(
  dir: string,
  images: readonly FakeImage[],
  tag = "latest",
): Promise<{ readonly index: Descriptor; readonly manifests: readonly Descriptor[] }> {
  const manifests: Descriptor[] = [];
  for (const image of images) {
    const platform = { os: "linux", architecture: image.architecture ?? "amd64" };
    manifests.push({ ...(await writeFakeManifest(dir, image)), platform });
  }
  const attestation = {
    ...(await writeFakeManifest(dir, { label: "attestation", layers: ["{}"] })),
    platform: { os: "unknown", architecture: "unknown" },
  };
  const all = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...manifests, attestation] };
  const written = await writeBlob(dir, Buffer.from(JSON.stringify(all)));
  const index = { mediaType: mediaTypes.ociIndex, ...written };
  await updateOciIndex(dir, index, { tag });
  return { index, manifests };
}

/** Hexadecimal sha256 of some content: its blob's file name. */
export function hexOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Label of the image that a name or digest leads to in a store, read as a build does. */
export async function labelOf(store: ImageStore, nameOrDigest: string): Promise<unknown> {
  const found = await store.resolve(nameOrDigest);
  const image = await (await openOciLayout(found.dir)).image(found.digest, parsePlatform("linux/amd64"));
  return image.config.config?.Labels?.["label"];
}
