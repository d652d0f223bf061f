import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError, type KilnErrorOptions } from "../errors.js";
import { annotationKeys, type Descriptor } from "./descriptor.js";
import { digestHex, isDigest, sha256 } from "./digest.js";
import type { ImageConfig } from "./image-config.js";
import type { ImageIndex, ImageManifest } from "./manifest.js";
import { isIndexType, isManifestType } from "./media-types.js";
import { formatPlatform, normalizePlatform, type Platform, samePlatform } from "./platform.js";

/** Manifests, indexes and configs larger than this are refused: none is. */
const jsonLimit = 16 * 1024 * 1024;

/** An image found in a layout for one platform. */
export interface LayoutImage {
  /** What the tag or digest named: a manifest or an index. */
  readonly root: Descriptor;
  /** The manifest for the platform; the root itself unless that is an index. */
  readonly manifestDescriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

/** An OCI image layout directory, opened for reading. */
export interface OciLayout {
  readonly dir: string;
  /** The layout's `index.json`. */
  readonly index: ImageIndex;
  /** File of a blob. Throws `ERR_KILN_LAYOUT_INVALID` for a malformed digest. */
  blobPath(digest: string): string;
  /** A JSON blob, its size and digest checked. */
  readJson(descriptor: Descriptor): Promise<unknown>;
  /** The entry that a tag, image name or digest names; without one, the only entry. */
  resolve(ref?: string): Descriptor;
  /** Manifest and config for a platform, through an index if need be. A digest may also be that of one image in an index. */
  image(ref: string | undefined, platform: Platform): Promise<LayoutImage>;
}

/**
 * Opens an OCI image layout.
 *
 * Rejects with `ERR_KILN_FILE_NOT_FOUND` when the directory is missing and `ERR_KILN_LAYOUT_INVALID` when it
 * is no layout; so do the methods for what they cannot find in it. `options` (the user's call site) goes
 * into these errors.
 */
export async function openOciLayout(dir: string, options: KilnErrorOptions = {}): Promise<OciLayout> {
  const fail = (why: string, hint?: string, cause?: unknown): KilnError =>
    new KilnError("ERR_KILN_LAYOUT_INVALID", `the OCI layout ${dir}: ${why}`, { ...options, hint, cause });
  const index = await readIndex(dir, fail, options);
  const blobPath = (digest: string): string => {
    if (!isDigest(digest)) throw fail(`it names a malformed digest ${JSON.stringify(digest)}`);
    return join(dir, "blobs", "sha256", digestHex(digest));
  };
  const readJson = async (descriptor: Descriptor): Promise<unknown> => {
    if (descriptor.size > jsonLimit) throw fail(`${descriptor.digest} is too large for what it should be`);
    const path = blobPath(descriptor.digest);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      throw fail(
        `the blob ${descriptor.digest} is missing`,
        "The layout is incomplete: write it again.",
        error,
      );
    }
    if (sha256(bytes) !== descriptor.digest) throw fail(`the blob ${descriptor.digest} is damaged`);
    try {
      return JSON.parse(bytes.toString("utf8"));
    } catch (error) {
      throw fail(`the blob ${descriptor.digest} is not JSON`, undefined, error);
    }
  };
  const resolve = (ref?: string): Descriptor => {
    const found = index.manifests.filter((entry) => ref === undefined || namesEntry(entry, ref));
    const [first, second] = found;
    if (first !== undefined && (second === undefined || second.digest === first.digest)) return first;
    const names = index.manifests.map(entryName).join(", ");
    if (first !== undefined && ref === undefined) {
      throw fail(`it holds ${found.length} images`, `Say which with ref: it has ${names}.`);
    }
    if (first !== undefined) return found[found.length - 1] ?? first;
    throw fail(
      ref === undefined ? "it holds no image" : `it has no image ${JSON.stringify(ref)}`,
      names === "" ? "Its index is empty." : `It has ${names}.`,
    );
  };
  /** The image of one platform that a digest names, which an index of the layout lists and its own does not. */
  const findInIndexes = async (ref: string | undefined): Promise<Descriptor | undefined> => {
    if (ref === undefined || !isDigest(ref) || index.manifests.some((entry) => namesEntry(entry, ref)))
      return undefined;
    for (const entry of index.manifests.filter(({ mediaType }) => isIndexType(mediaType))) {
      const { manifests } = (await readJson(entry)) as ImageIndex;
      const found = manifests?.find(({ digest }) => digest === ref);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return {
    dir,
    index,
    blobPath,
    readJson,
    resolve,
    async image(ref, platform) {
      const root = (await findInIndexes(ref)) ?? resolve(ref);
      const manifestDescriptor = isIndexType(root.mediaType)
        ? pickPlatform((await readJson(root)) as ImageIndex, platform, fail)
        : root;
      if (!isManifestType(manifestDescriptor.mediaType)) {
        throw fail(`${manifestDescriptor.digest} is a ${manifestDescriptor.mediaType}, not an image`);
      }
      const manifest = (await readJson(manifestDescriptor)) as ImageManifest;
      const config = (await readJson(manifest.config)) as ImageConfig;
      return { root, manifestDescriptor, manifest, config };
    },
  };
}

type Fail = (why: string, hint?: string, cause?: unknown) => KilnError;

async function readIndex(dir: string, fail: Fail, options: KilnErrorOptions): Promise<ImageIndex> {
  let text: string;
  try {
    text = await readFile(join(dir, "index.json"), "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOENT" && code !== "ENOTDIR")
      throw fail("its index.json cannot be read", undefined, error);
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `no OCI layout at ${dir}: it has no index.json`, {
      hint: "Check the path. `kiln build -o oci:DIR` writes a layout.",
      ...options,
      cause: error,
    });
  }
  try {
    const index = JSON.parse(text) as ImageIndex;
    if (!Array.isArray(index.manifests)) throw new TypeError("no list of manifests");
    return index;
  } catch (error) {
    throw fail("its index.json is damaged", "Write the layout again.", error);
  }
}

function namesEntry(entry: Descriptor, ref: string): boolean {
  return (
    entry.digest === ref ||
    entry.annotations?.[annotationKeys.refName] === ref ||
    entry.annotations?.[annotationKeys.imageName] === ref
  );
}

function entryName(entry: Descriptor): string {
  return (
    entry.annotations?.[annotationKeys.imageName] ??
    entry.annotations?.[annotationKeys.refName] ??
    entry.digest
  );
}

function pickPlatform(index: ImageIndex, platform: Platform, fail: Fail): Descriptor {
  const offers = (index.manifests ?? []).filter((entry) => entry.platform !== undefined);
  const found = offers.find(
    (entry) => entry.platform !== undefined && samePlatform(normalizePlatform(entry.platform), platform),
  );
  if (found !== undefined) return found;
  const names = offers.map((entry) => (entry.platform === undefined ? "" : formatPlatform(entry.platform)));
  throw fail(`it has no image for ${formatPlatform(platform)}`, `It has ${names.join(", ") || "none"}.`);
}
