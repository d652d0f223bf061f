import { homedir } from "node:os";
import type { ContentDiffs } from "../cache/explain/input-changes.js";
import { cacheDirectory } from "../internal/cache-directory.js";
import type { Explanation } from "../model/explanation.js";
import { type ExplainedRefs, explainBuilds, type RecordedBuilds } from "./explain.js";
import { openCache } from "./open-cache.js";
import { contentDiffs } from "./trees/content-diffs.js";

type Environment = Readonly<Record<string, string | undefined>>;

/** The recorded builds of the user whose environment this is, and how the contents of their files differ. */
export function openRecorded(env: Environment = process.env): {
  readonly builds: RecordedBuilds;
  readonly diffs: ContentDiffs;
} {
  // What was recorded can be told also where nothing is recorded any more.
  const { KILN_CACHE: _off, ...others } = env;
  const cacheDir = cacheDirectory(env, env["HOME"] ?? homedir());
  const index = openCache({ cacheDir, env: others });
  return { builds: index, diffs: contentDiffs(index) };
}

/** What {@link explainBuilds} says of these builds. Rejects as it does. */
export async function explainRecorded(env: Environment, refs: ExplainedRefs): Promise<Explanation> {
  const { builds, diffs } = openRecorded(env);
  return explainBuilds(builds, refs, diffs);
}
