import type { CacheIndex } from "../cache/records/cache-index.js";
import { compile } from "../image/compile.js";
import type { OutputRecord, StepRecord } from "../model/build-record.js";
import type { Facts } from "../model/facts.js";
import type { Platform } from "../oci/platform.js";
import { knownBases } from "./bases/known-bases.js";
import { openLock } from "./bases/open-lock.js";
import { type BuildOptions, type BuildResult, summaryOf } from "./build.js";
import { type BuildIdentity, identifyBuild, identityFacts } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { ownPlatform, platformAsked } from "./build-platform.js";
import { factsOf } from "./inputs/facts-of.js";
import { type Gathered, withRootfs } from "./inputs/gather.js";
import { knownDaemon } from "./known-daemon.js";
import { checkContextOf } from "./outputs/check-context.js";
import { checkOutputs } from "./outputs/output-checks.js";
import type { OutputStamp } from "./outputs/output-stamp.js";
import { digestsOf } from "./trees/scan-inputs.js";

/** What the index keeps of a build that succeeded, by the build's key. */
export interface StoredResult {
  readonly version: 1;
  /** The build that made it. */
  readonly ref: string;
  readonly digest: string | undefined;
  readonly outputs: readonly OutputRecord[];
  readonly stamps: readonly OutputStamp[];
  readonly steps: readonly StepRecord[];
  readonly exporterResponse: Readonly<Record<string, string>>;
}

/** Why a build is nobody else's though another has the same key; `undefined` = they can be one. */
export function whyNotShared({ settings, force }: Gathered): string | undefined {
  if (force !== undefined) return "forced";
  // What only the caller can answer, or alone is told.
  if (settings.chooseOutputs !== undefined) return "outputs are chosen later";
  if (settings.verifySource !== undefined) return "sources are judged one by one";
  if ((settings.cacheExports ?? []).length > 0) return "caches are exported";
  return hasStream(settings) ? "an output is a stream" : undefined;
}

function hasStream({ outputs = [] }: Gathered["settings"]): boolean {
  return outputs.some((output) => "target" in output && typeof output.target === "function");
}

/** Why a build has to be solved whatever the index says; `undefined` = it need not be. */
export function whyAlwaysSolved(gathered: Gathered): string | undefined {
  const { settings, needs, publish } = gathered;
  if ((settings.outputs ?? []).length === 0 && publish === undefined) {
    return "nothing is written that could be there already";
  }
  if (needs.devices.length > 0) return "devices are looked for on the daemon";
  return whyNotShared(gathered);
}

/** A build that needed no solve, and what it was. */
export interface VerifiedBuild {
  readonly result: BuildResult;
  /** What the index had of it. */
  readonly stored: StoredResult;
}

/** A build of which all is known that it is made of. */
export interface KnownBuild {
  readonly platform: Platform;
  /** With the bases that are only found once the platform is known. */
  readonly gathered: Gathered;
  readonly facts: Facts;
  readonly identity: BuildIdentity;
}

/** What a build is, if that can be told without asking a daemon anything. */
export async function knownBuild({
  image,
  index,
  gathered: local,
  options,
  address,
  engine,
  scans,
}: BuildJob): Promise<KnownBuild | undefined> {
  const { needs, settings } = local;
  if (!index.enabled || needs.usesDockerfile || whyAlwaysSolved(local) !== undefined) return undefined;
  const platform = await knownPlatform(options.platform, address, index);
  if (platform === undefined) return undefined;
  const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
  const locked = await openLock(settings);
  const bases = await knownBases(needs, {
    ...{ index, platform, settings, inputs: gathered.inputs, mirrors: engine.mirrors },
    lock: locked?.lock,
  });
  if (bases === undefined) return undefined;
  const facts = factsOf(gathered, platform, bases);
  const identity = identifyBuild(compile(image, identityFacts(facts, digestsOf(scans))), gathered);
  return { platform, gathered, facts, identity };
}

/**
 * The result of a build out of the index, if everything that it would make is really there; else why not, in words.
 *
 * Never rejects for what is wrong with the index or the outputs: whatever is in doubt is a reason to build.
 */
export async function answerUnsolved(
  identity: BuildIdentity,
  job: BuildJob,
  platform: Platform,
): Promise<VerifiedBuild | string> {
  const { index, gathered } = job;
  const always = whyAlwaysSolved(gathered);
  if (always !== undefined) return always;
  const [moving] = identity.moving;
  if (moving !== undefined) return `${moving} may change`;
  const stored = await index.read("results", identity.key);
  if (!isStoredResult(stored)) return "nothing is recorded of such a build";
  const missing = await checkOutputs(gathered.settings.outputs ?? [], stored.stamps, {
    ...checkContextOf(job),
    onRefreshed: (stamps) => void index.write("results", identity.key, { ...stored, stamps }),
  });
  return missing ?? { result: unsolved(stored, job, platform), stored };
}

function unsolved(
  stored: StoredResult,
  { ref, address, startedAt }: BuildJob,
  platform: Platform,
): BuildResult {
  const steps = stored.steps.map((step): StepRecord => {
    const { index, id, title, outcome } = step;
    return { index, id, title, outcome: outcome === "config" ? "config" : "cached", durationMs: 0 };
  });
  return {
    ref,
    platform,
    daemon: address,
    digest: stored.digest,
    outputs: stored.outputs,
    startedAt,
    durationMs: Date.now() - startedAt,
    verified: true,
    ...summaryOf(steps),
    exporterResponse: stored.exporterResponse,
    ignoredFailures: [],
  };
}

function isStoredResult(value: unknown): value is StoredResult {
  if (typeof value !== "object" || value === null) return false;
  return Reflect.get(value, "version") === 1 && Array.isArray(Reflect.get(value, "stamps"));
}

/** The platform of a build, where it is asked for or the daemon has told its own. */
async function knownPlatform(
  wanted: BuildOptions["platform"],
  address: string,
  index: CacheIndex,
): Promise<Platform | undefined> {
  if (wanted !== undefined) return platformAsked(wanted);
  const daemon = await knownDaemon(address, index);
  return daemon && ownPlatform(daemon.facts);
}
