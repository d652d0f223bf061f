import { createHash } from "node:crypto";
import { relative } from "node:path";
import { findPrevious } from "../cache/explain/find-previous.js";
import type { JudgeOptions } from "../cache/explain/step-causes.js";
import { recentBuilds } from "../cache/records/recent-builds.js";
import { fingerprintsOf, forcedFrom } from "../image/fingerprints.js";
import { packageVersion } from "../internal/package-version.js";
import type { Facts } from "../model/facts.js";
import type { StepFingerprint } from "../model/step-input.js";
import type { PlanCopy } from "../model/tree-way.js";
import type { BuildJob } from "./build-job.js";
import { contentDiffs } from "./trees/content-diffs.js";

/** How many of the last builds a build is compared with. */
const comparedBuilds = 200;

/** What a build is compared by. */
export interface BuildTraits {
  readonly name: string;
  readonly lineage: string;
  readonly fingerprints: readonly StepFingerprint[];
  readonly forcedFrom: number | undefined;
}

/** The traits of a build whose facts are known. */
function traitsOf(
  job: BuildJob,
  facts: Facts,
  copies?: readonly Pick<PlanCopy, "tree" | "way">[],
): BuildTraits {
  const { image, gathered, options, scans } = job;
  const { secrets } = gathered;
  const place = image.steps.find(({ location }) => location !== undefined)?.location;
  const name =
    options.name ?? (place === undefined ? "unnamed" : `${relative(gathered.cwd, place.file)}:${place.line}`);
  const outputs = (gathered.settings.outputs ?? []).map((output) =>
    "names" in output ? output.names : "dir" in output ? output.dir : output.target,
  );
  const from = options.name ?? place?.file ?? "";
  const lineage = JSON.stringify(["lineage v1", gathered.cwd, from, outputs, gathered.publish]);
  return {
    name,
    lineage: createHash("sha256").update(lineage).digest("hex"),
    forcedFrom: forcedFrom(image, gathered.force !== undefined),
    fingerprints: fingerprintsOf(image, {
      platform: facts.platform,
      builderVersion: facts.builderVersion,
      packageVersion: packageVersion(),
      sourceDateEpoch: facts.sourceDateEpoch,
      bases: new Map([...facts.bases].map(([id, { digest }]) => [id, digest])),
      files: facts.files,
      listings: facts.listings,
      trees: new Map([...scans].map(([id, { manifest }]) => [id, manifest.digest])),
      secrets: secrets.facts,
      secretVersions: secrets.versions,
      frontends: facts.frontends,
      copies,
      caBundle: facts.caBundle,
      caBundles: facts.caBundles,
      nonce: facts.force?.kind === "apart" ? facts.force.nonce : undefined,
    }),
  };
}

/** A build beside those that it is compared with. */
export interface ComparedTraits {
  readonly traits: BuildTraits;
  readonly compared: JudgeOptions;
}

/** What explaining and forecasting a build goes by. `daemon` = its address; default that of the job. */
export async function compareBuild(
  job: BuildJob,
  what: {
    readonly facts: Facts;
    readonly copies: Parameters<typeof traitsOf>[2];
    readonly daemon?: string | undefined;
  },
): Promise<ComparedTraits> {
  const { index, scans } = job;
  const { facts, copies, daemon = job.address } = what;
  // Read before anything else is done: a daemon that was just asked is waited for meanwhile.
  const others = await recentBuilds(index, comparedBuilds);
  const traits = traitsOf(job, facts, copies);
  const manifests = [...scans.values()].map(({ manifest }) => manifest);
  const diffs = contentDiffs(index, { manifests, files: [...facts.files.values()] });
  const previous = findPrevious(others, { ...traits, daemon });
  return { traits, compared: { ...traits, ...diffs, others, previous, daemon } };
}
