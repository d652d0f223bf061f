import { explainChanges } from "../cache/explain/explain.js";
import type { ContentDiffs } from "../cache/explain/input-changes.js";
import { asStoredBuild } from "../cache/records/stored-build.js";
import { KilnError } from "../errors.js";
import type { StepRecord, StoredBuild } from "../model/build-record.js";
import type { ExplainedBuild, ExplainedStep, Explanation } from "../model/explanation.js";
import { formatPlatform } from "../oci/platform.js";

/** Where builds are recorded, under their refs: an index. */
export interface RecordedBuilds {
  read(kind: "builds", key: string): Promise<unknown>;
  list(kind: "builds"): AsyncIterable<{
    readonly key: string;
    /** Milliseconds since 1970. */
    readonly usedAt: number;
  }>;
}

/** Which builds {@link explainBuilds} is about. */
export interface ExplainedRefs {
  /** A ref or the beginning of one; default: the last build. */
  readonly build?: string | undefined;
  /** With another one: what makes its steps others than those of {@link build}. */
  readonly other?: string | undefined;
}

/** How many of the builds that were used last are looked at for the last one. */
const mostRecent = 200;

/**
 * Why the steps of a recorded build ran, or how those of a second one differ from the first's.
 *
 * Rejects with `ERR_KILN_BUILD_NOT_FOUND` for a build that is not recorded, `ERR_KILN_INVALID_ARGUMENT` for the beginning
 * of several refs.
 */
export async function explainBuilds(
  index: RecordedBuilds,
  { build: wanted, other }: ExplainedRefs = {},
  diffs: ContentDiffs = {},
): Promise<Explanation> {
  const keys: { readonly key: string; readonly usedAt: number }[] = [];
  for await (const { key, usedAt } of index.list("builds")) keys.push({ key, usedAt });
  const build = wanted === undefined ? await lastBuild(index, keys) : await buildOf(index, keys, wanted);
  if (other === undefined) {
    const steps = build.steps.map((step): ExplainedStep => ({ ...outcomeOf(step), cause: step.cause }));
    return { build: shownBuild(build), against: undefined, steps };
  }
  const second = await buildOf(index, keys, other);
  const causes = await explainChanges(build, second, diffs);
  const records = new Map(second.steps.map((step) => [step.index, step]));
  const steps = second.fingerprints.map(({ index: at, id, title }): ExplainedStep => {
    const record = records.get(at) ?? { index: at, id, title, outcome: "unused", durationMs: 0 };
    return { ...outcomeOf(record), cause: causes.get(at) };
  });
  return { build: shownBuild(second), against: shownBuild(build), steps };
}

type Keys = readonly { readonly key: string; readonly usedAt: number }[];

async function lastBuild(index: RecordedBuilds, keys: Keys): Promise<StoredBuild> {
  const recent = [...keys].sort((a, b) => b.usedAt - a.usedAt).slice(0, mostRecent);
  let last: StoredBuild | undefined;
  for (const { key } of recent) {
    const found = asStoredBuild(await index.read("builds", key));
    if (found !== undefined && (last === undefined || found.startedAt > last.startedAt)) last = found;
  }
  if (last !== undefined) return last;
  throw new KilnError("ERR_KILN_BUILD_NOT_FOUND", "no build is recorded", {
    hint: "Builds are recorded once they end, unless KILN_CACHE is off.",
  });
}

async function buildOf(index: RecordedBuilds, keys: Keys, ref: string): Promise<StoredBuild> {
  const begin = ref.toLowerCase();
  const matching = keys.filter(({ key }) => key.startsWith(begin) && begin !== "");
  const chosen = matching.find(({ key }) => key === begin) ?? matching[0];
  if (matching.length > 1 && chosen?.key !== begin) {
    const names = matching.slice(0, 5).map(({ key }) => key);
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${matching.length} builds begin with ${ref}`, {
      hint: `Write more of it: ${names.join(", ")}${matching.length > names.length ? ", …" : ""}.`,
    });
  }
  const found = chosen === undefined ? undefined : asStoredBuild(await index.read("builds", chosen.key));
  if (found !== undefined) return found;
  throw new KilnError("ERR_KILN_BUILD_NOT_FOUND", `no build ${ref} is recorded on this machine`, {
    hint: "Without a build, kiln explain takes the last one. Old records are removed.",
  });
}

function outcomeOf({ index, id, title, outcome, durationMs }: StepRecord): ExplainedStep {
  return { index, id, title, outcome, durationMs };
}

function shownBuild(build: StoredBuild): ExplainedBuild {
  const { ref, name, daemon, outcome, verified, startedAt, durationMs } = build;
  const platform = formatPlatform(build.platform);
  return { ref, name, daemon, platform, outcome, verified, startedAt, durationMs };
}
