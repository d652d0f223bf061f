import type { StoredBuild } from "../../model/build-record.js";
import type { CacheIndex } from "./cache-index.js";
import { asStoredBuild } from "./stored-build.js";

/** The last builds that an index knows, newest first, `count` at most. */
export async function recentBuilds(index: CacheIndex, count: number): Promise<readonly StoredBuild[]> {
  const entries: { readonly key: string; readonly usedAt: number }[] = [];
  for await (const { key, usedAt } of index.list("builds")) entries.push({ key, usedAt });
  entries.sort((a, b) => b.usedAt - a.usedAt);
  const builds: StoredBuild[] = [];
  for (const { key } of entries.slice(0, count)) {
    const build = asStoredBuild(await index.read("builds", key));
    if (build !== undefined) builds.push(build);
  }
  return builds;
}
