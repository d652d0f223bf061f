import { homedir } from "node:os";
import { isAbsolute } from "node:path";
import { type CallSite, KilnError } from "../../errors.js";
import type { StoredBaseNeed } from "../../model/needs.js";
import { isDigest } from "../../oci/digest.js";
import { parseImageName } from "../../oci/image-name.js";
import { ImageStore, imageStoreDirectory } from "../../oci/image-store.js";
import { formatReference, parseReference } from "../../oci/reference.js";

/** Where images are published under names: a store on this machine, or a repository of a registry. */
export type ImagePlace =
  | { readonly kind: "directory"; readonly dir: string }
  /** Without tag. */
  | { readonly kind: "registry"; readonly repository: string };

const registryScheme = "registry:";

/**
 * Reads the engine's option `imageStore`: an absolute directory, or `registry:HOST/REPOSITORY`. Default: `images` in Kiln's
 * data directory. Throws `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_INVALID_REFERENCE`.
 */
export function imagePlace(
  option: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ImagePlace {
  if (option === undefined) {
    return { kind: "directory", dir: imageStoreDirectory(env, env["HOME"] ?? homedir()) };
  }
  if (typeof option === "string" && option.startsWith(registryScheme)) {
    const { domain, path, digest } = parseReference(option.slice(registryScheme.length));
    if (digest === undefined) return { kind: "registry", repository: `${domain}/${path}` };
  } else if (typeof option === "string" && isAbsolute(option)) return { kind: "directory", dir: option };
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `Engine.connect: imageStore is neither an absolute directory nor a registry: ${JSON.stringify(option)}`,
    { hint: 'Write imageStore: "/var/lib/kiln/images" or "registry:ghcr.io/me/images".' },
  );
}

/**
 * The reference of a published image in a registry: one repository holds them all, so that each is there by its digest
 * as well. Name and tag make the tag; `_` in the name is doubled, so that no two names share one.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE` for a name that makes no tag of a registry's.
 */
export function publishedReference(
  repository: string,
  name: string,
  options: { readonly location?: CallSite | undefined } = {},
): string {
  if (isDigest(name)) return `${repository}@${name}`;
  const parsed = parseImageName(name, options);
  const tag = `${parsed.name.replaceAll("_", "__")}_-_${parsed.tag}`;
  return formatReference(parseReference(`${repository}:${tag}`, options));
}

/** Where a published image is. Rejects with `ERR_KILN_IMAGE_NOT_FOUND` for one that is not on this machine. */
export async function findPublished(
  { name, location }: StoredBaseNeed,
  place: ImagePlace,
): Promise<
  | { readonly kind: "registry"; readonly ref: string }
  | { readonly kind: "layout"; readonly dir: string; readonly digest: string }
> {
  if (place.kind === "registry") {
    return { kind: "registry", ref: publishedReference(place.repository, name, { location }) };
  }
  const store = await ImageStore.open(place.dir);
  const { dir, digest } = await store.resolve(name, { location });
  return { kind: "layout", dir, digest };
}
