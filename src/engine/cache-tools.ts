import { homedir } from "node:os";
import type { CacheIndex } from "../cache/records/cache-index.js";
import { cacheDirectory } from "../internal/cache-directory.js";
import { openCache } from "./open-cache.js";

export type { CacheIndex } from "../cache/records/cache-index.js";
export { exportIndex } from "../cache/records/export-index.js";
export { type IndexUse, indexUse } from "../cache/records/index-use.js";
export { listBuilds } from "../cache/records/list-builds.js";
export { type PruneResult, pruneIndex } from "../cache/records/prune-index.js";
export { type VerifyResult, verifyIndex } from "../cache/records/verify-index.js";

/**
 * Opens this user's cache: that of `KILN_CACHE_DIR` or the user's cache directory.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a relative `KILN_CACHE_DIR` and for settings that mean nothing.
 */
export function openUserCache(env: Readonly<Record<string, string | undefined>> = process.env): CacheIndex {
  return openCache({ cacheDir: cacheDirectory(env, env["HOME"] ?? homedir()), env });
}
