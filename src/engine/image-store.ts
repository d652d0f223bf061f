export { ImageStore, type RemovedImages, type StoredImage } from "../oci/image-store.js";
