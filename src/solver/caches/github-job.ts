import type { GhaCache } from "./cache-options.js";

/**
 * A cache of GitHub's with what was left out of it filled in from the environment of a job (`ACTIONS_CACHE_URL`,
 * `ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN`, `ACTIONS_CACHE_SERVICE_V2`), as by BuildKit's client. Others come back
 * as they are.
 */
export function withGithubJob<T extends { readonly type: string }>(
  cache: T,
  env: Readonly<Record<string, string | undefined>>,
): T {
  if (!isGha(cache)) return cache;
  const set = (name: string): string | undefined => env[name] || undefined;
  const isV2 =
    (cache.version ?? (/^(?:1|t|true)$/i.test(set("ACTIONS_CACHE_SERVICE_V2") ?? "") ? "2" : undefined)) ===
    "2";
  const filled: GhaCache = {
    ...cache,
    url: cache.url ?? set("ACTIONS_CACHE_URL") ?? set("ACTIONS_RESULTS_URL"),
    urlV2: cache.urlV2 ?? (isV2 ? set("ACTIONS_RESULTS_URL") : undefined),
    token: cache.token ?? set("ACTIONS_RUNTIME_TOKEN"),
  };
  return filled as GhaCache & T;
}

function isGha<T extends { readonly type: string }>(cache: T): cache is T & GhaCache {
  return cache.type === "gha";
}
