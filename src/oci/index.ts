export { annotationKeys, type Descriptor, type DescriptorPlatform } from "./descriptor.js";
export { type Digest, digestHex, isDigest, parseDigest, sha256 } from "./digest.js";
export type { ContainerConfig, Healthcheck, HistoryEntry, ImageConfig } from "./image-config.js";
export { type ImageName, parseImageName } from "./image-name.js";
export {
  ImageStore,
  imageStoreDirectory,
  type PublishedImage,
  type RemovedImages,
  type StoredImage,
  type StoredReference,
  type StoreWriteOptions,
} from "./image-store.js";
export { type LayoutImage, type OciLayout, openOciLayout } from "./layout.js";
export { type IndexEntryNames, initOciLayout, updateOciIndex, writeBlob } from "./layout-writer.js";
export type { ImageIndex, ImageManifest } from "./manifest.js";
export { isIndexType, isManifestType, mediaTypes } from "./media-types.js";
export { formatPlatform, normalizePlatform, type Platform, parsePlatform, samePlatform } from "./platform.js";
export { formatReference, type ImageReference, parseReference } from "./reference.js";
