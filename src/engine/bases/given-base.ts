import type { BaseFact } from "../../model/facts.js";
import type { RegistryBaseNeed } from "../../model/needs.js";
import type { Platform } from "../../oci/platform.js";
import {
  entriesByKey,
  keyOf,
  type LockedImage,
  type SourceLock,
} from "../../solver/source-lock/source-lock.js";
import { imageScheme, nameOfSource } from "../../solver/source-lock/source-name.js";
import type { LocalBase } from "../inputs/gather-inputs.js";

/** A base that is in a layout on this machine. Rejects with `ERR_KILN_LAYOUT_INVALID`. */
export async function resolveLayoutBase(
  { layout, ref, store }: LocalBase,
  platform: Platform,
): Promise<BaseFact> {
  const image = await layout.image(ref, platform);
  return { kind: "oci-layout", store, digest: image.root.digest, config: image.config };
}

/** What a base is locked to; `undefined` if the lock does not hold it. */
export function lockedDigest(
  need: RegistryBaseNeed,
  { platform, lock }: { readonly platform: Platform; readonly lock: SourceLock },
): string | undefined {
  const name = nameOfBase(need, platform);
  const entry = name === undefined ? undefined : entriesByKey(lock).get(keyOf(name));
  return entry?.type === "image" ? entry.digest : undefined;
}

/** The base's name in a lock; `undefined` for one that names a digest. */
export function nameOfBase(
  { ref }: RegistryBaseNeed,
  platform: Platform,
): Pick<LockedImage, "type" | "source" | "platform"> | undefined {
  const name = nameOfSource({ identifier: `${imageScheme}${ref}`, attrs: {}, platform });
  return name?.type === "image" ? name : undefined;
}
