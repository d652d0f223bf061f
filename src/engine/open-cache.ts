import { type CacheIndex, openCacheIndex } from "../cache/records/cache-index.js";
import { checkRootfs, keptRootfs, rootfsPlaces } from "../layers/kept-rootfs.js";

/** How {@link openCache} finds the cache. */
export interface OpenCacheOptions {
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970. Default the machine's clock. */
  readonly now?: (() => number) | undefined;
}

/** A layout that a build uses is read by the daemon in the build's first minutes. */
const rootfsGraceMs = 3_600_000;

/**
 * Opens the index of a cache directory, with the root file systems beside it: they count, and go as what is in it does.
 *
 * Throws as `openCacheIndex` does.
 */
export function openCache({ cacheDir, env, now }: OpenCacheOptions): CacheIndex {
  const rootfs = {
    kind: "rootfs",
    scratch: rootfsPlaces(cacheDir).scratch,
    graceMs: rootfsGraceMs,
    items: () => keptRootfs(cacheDir),
    check: checkRootfs,
  };
  return openCacheIndex({ cacheDir, env, now, areas: [rootfs] });
}
