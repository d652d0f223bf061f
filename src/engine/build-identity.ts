import { createHash } from "node:crypto";
import { randomId } from "../internal/random-id.js";
import { movingSources } from "../llb/moving-sources.js";
import type { Facts } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import { formatPlatform } from "../oci/platform.js";
import type { Output } from "../solver/outputs.js";
import type { Gathered } from "./inputs/gather.js";

/** What a build is, whatever the machine, the daemon and the way in which its files get there. */
export interface BuildIdentity {
  /** The chain compiled with names that say what a tree holds in place of where it lies. */
  readonly plan: Plan;
  /** Digest over all that decides what the build makes and where it goes; in hex. */
  readonly key: string;
  /** Sources that may be something else with the next build, so that {@link key} does not say all. */
  readonly moving: readonly string[];
}

/** Digests of a build's local trees, by need id. */
export type TreeDigests = ReadonlyMap<string, string>;

/** Facts with which equal content compiles to equal ops on every machine. */
export function identityFacts(facts: Facts, digests: TreeDigests): Facts {
  return {
    ...facts,
    localUniqueId: "content",
    trees: new Map(
      [...facts.trees.keys()].map((id) => {
        // Nobody knows what is in it: a build that reads it after all is like no other.
        const digest = digests.get(id) ?? randomId();
        return [id, { name: `tree-${digest.replace(":", "-")}`, sharedKeyHint: digest }] as const;
      }),
    ),
    bases: new Map(
      [...facts.bases].map(
        ([id, base]) => [id, base.kind === "registry" ? base : { ...base, store: "layout" }] as const,
      ),
    ),
    ways: undefined,
  };
}

/** What a build is, by the chain compiled with {@link identityFacts}. */
export function identifyBuild(plan: Plan, { settings, publish }: Gathered): BuildIdentity {
  const { attestations, compatibilityVersion, proxyNetwork, sourceDateEpoch, sourcePolicy } = settings;
  const parts = [
    "build v1",
    formatPlatform(plan.platform),
    plan.definition?.ops.at(-1)?.digest ?? "",
    plan.config,
    (settings.outputs ?? []).map(describeOutput),
    publish ?? "",
    // A policy refuses sources, or has others in their place.
    { attestations, compatibilityVersion, proxyNetwork, sourceDateEpoch, sourcePolicy },
  ];
  return {
    plan,
    key: createHash("sha256").update(JSON.stringify(parts, sortKeys)).digest("hex"),
    moving: plan.definition === undefined ? [] : movingSources(plan.definition),
  };
}

function describeOutput(output: Output): unknown {
  return "target" in output && typeof output.target === "function" ? { ...output, target: "stream" } : output;
}

/** Records in one order of keys, whoever made them. */
function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
