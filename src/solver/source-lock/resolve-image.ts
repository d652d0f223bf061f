import type { CallSite } from "../../errors.js";
import type { Platform } from "../../oci/platform.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import { RpcError } from "../../rpc/rpc-error.js";
import type { Gateway, ResolvedImage, ResolveImageOptions } from "../gateway/gateway.js";
import { SolveError } from "../solve-error.js";
import { unlockedError } from "./pin-definition.js";
import { keyOf, type LockedImage, type PullMode, type SourceLock, type SourceName } from "./source-lock.js";
import { imageScheme } from "./source-name.js";

/** Options of {@link resolveLockedImage}. */
export interface ResolveLockedImageOptions {
  readonly platform: Platform;
  readonly lock: SourceLock;
  readonly pull: PullMode;
  /** Where the daemon looks for an image that is not locked. `always` turns the default into `pull`. */
  readonly resolveMode?: ResolveImageOptions["resolveMode"];
  /** The call that named the image, for the error. */
  readonly location?: CallSite | undefined;
  /** A full reference to ask for in place of the name: where a mirror has the image. */
  readonly at?: string | undefined;
}

/**
 * Digest and config of an image: by the lock's digest where it has one, which a daemon that has the image answers without
 * its registry (ran on BuildKit 0.13 and 0.25); else by its name.
 *
 * A name stands for one index, so an image that is locked for another platform is taken from there if it has this one.
 * Rejects with `ERR_KILN_SOURCE_UNLOCKED` under `locked` for one that is not, and with the gateway's error.
 */
export async function resolveLockedImage(
  gateway: Gateway,
  name: Extract<SourceName, { readonly type: "image" }>,
  options: ResolveLockedImageOptions,
): Promise<ResolvedImage> {
  const { platform, lock, pull } = options;
  const reference = parseReference(options.at ?? name.source.slice(imageScheme.length));
  const resolve = (digest: string | undefined, mode: ResolveImageOptions["resolveMode"]) =>
    gateway.resolveImageConfig(formatReference({ ...reference, digest }), { platform, resolveMode: mode });
  const resolveMode = options.resolveMode ?? "default";
  if (pull !== "always") {
    const images = lock.sources.filter(
      (entry): entry is LockedImage => entry.type === "image" && entry.source === name.source,
    );
    const own = images.find((entry) => keyOf(entry) === keyOf(name));
    if (own !== undefined) return resolve(own.digest, resolveMode);
    if (pull === "locked") throw unlockedError([name], { location: options.location });
    for (const digest of new Set(images.map((entry) => entry.digest))) {
      try {
        const found = await resolve(digest, resolveMode);
        if (found.digest === digest) return found;
      } catch (error) {
        // That index may have no such platform; what else is wrong, the name will show.
        if (!(error instanceof SolveError || (error instanceof RpcError && error.code === "ERR_KILN_RPC"))) {
          throw error;
        }
      }
    }
  }
  return resolve(undefined, pull === "always" && resolveMode === "default" ? "pull" : resolveMode);
}
