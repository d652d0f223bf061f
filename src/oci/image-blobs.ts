import { KilnError } from "../errors.js";
import type { Descriptor, DescriptorPlatform } from "./descriptor.js";
import { isDigest } from "./digest.js";
import type { OciLayout } from "./layout.js";
import { isIndexType, isManifestType } from "./media-types.js";

/** Everything that an image or an index of images consists of. */
export interface ImageBlobs {
  /** Each blob once; one that names others comes before them. */
  readonly blobs: readonly Descriptor[];
  /** Platforms that there are images for; attestations are none. */
  readonly platforms: readonly DescriptorPlatform[];
}

/** No image has as many; a hostile one could have any number. */
const blobLimit = 20_000;

/**
 * Finds the blobs of an image, or of all images of an index, through every manifest. Contents of manifests are checked
 * against their digests; other blobs are not looked at.
 *
 * Rejects with `ERR_KILN_LAYOUT_INVALID` for manifests that are missing, damaged or not what they should be, and with
 * `ERR_KILN_LIMIT_EXCEEDED` for more than 20,000 blobs.
 */
export async function imageBlobs(layout: OciLayout, root: Descriptor): Promise<ImageBlobs> {
  const found = new Map<string, Descriptor>();
  const platforms: DescriptorPlatform[] = [];
  const pending: Descriptor[] = [root];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (found.has(next.digest)) continue;
    found.set(next.digest, next);
    if (found.size > blobLimit) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `${root.digest} has more than ${blobLimit} blobs`);
    }
    if (isIndexType(next.mediaType)) {
      const index = await layout.readJson(next);
      pending.push(...listIn(layout, next, index, "manifests").reverse());
    } else if (isManifestType(next.mediaType)) {
      const manifest = await layout.readJson(next);
      const config = descriptorIn(layout, next, memberOf(manifest, "config"));
      pending.push(...listIn(layout, next, manifest, "layers").reverse(), config);
      const platform = next.platform ?? (await platformOf(layout, config));
      if (platform !== undefined && platform.os !== "unknown") platforms.push(platform);
    }
  }
  return { blobs: [...found.values()], platforms };
}

/** The platform that an image's config names. */
async function platformOf(layout: OciLayout, config: Descriptor): Promise<DescriptorPlatform | undefined> {
  if (!config.mediaType.endsWith("+json")) return undefined;
  const json = await layout.readJson(config);
  const { os, architecture } = { os: memberOf(json, "os"), architecture: memberOf(json, "architecture") };
  if (typeof os !== "string" || typeof architecture !== "string") return undefined;
  const variant = memberOf(json, "variant");
  return { architecture, os, ...(typeof variant === "string" && variant !== "" ? { variant } : {}) };
}

function listIn(layout: OciLayout, parent: Descriptor, json: unknown, key: string): Descriptor[] {
  const list = memberOf(json, key);
  if (!Array.isArray(list)) throw malformed(layout, parent, `it has no list of ${key}`);
  return list.map((value: unknown) => descriptorIn(layout, parent, value));
}

function descriptorIn(layout: OciLayout, parent: Descriptor, value: unknown): Descriptor {
  if (isDescriptor(value)) return value;
  throw malformed(layout, parent, "what it names has no type, digest or size");
}

/** Whether parsed JSON is a descriptor, as far as it is used: type, sha256 digest and size. */
export function isDescriptor(value: unknown): value is Descriptor {
  const digest = memberOf(value, "digest");
  return (
    typeof memberOf(value, "mediaType") === "string" &&
    typeof digest === "string" &&
    isDigest(digest) &&
    Number.isSafeInteger(memberOf(value, "size"))
  );
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function malformed(layout: OciLayout, blob: Descriptor, why: string): KilnError {
  return new KilnError("ERR_KILN_LAYOUT_INVALID", `the OCI layout ${layout.dir}: ${blob.digest}: ${why}`, {
    hint: "Write the image again.",
  });
}
