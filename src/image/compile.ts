import type { Definition } from "../llb/definition.js";
import { marshal } from "../llb/marshal.js";
import { scratch } from "../llb/state.js";
import type { Facts } from "../model/facts.js";
import type { Plan, PlanCommand, PlanStep } from "../model/plan.js";
import { builderVersion } from "./builder-version.js";
import type { ChainState } from "./chain-state.js";
import type { Chain } from "./define-step.js";
import { imageConfigOf } from "./image-config-of.js";
import { type Compilation, llbContext } from "./llb-context.js";
import { windowsPaths } from "./local-paths.js";
import { nestedScope } from "./need-id.js";
import { needsOf } from "./needs-of.js";
import { planSnapshot } from "./plan-snapshot.js";
import { stepKey } from "./step-key.js";

/** What an image config without a base starts with: nothing but a search path, as BuildKit gives it. */
const scratchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Compiles a chain for one platform, with what was found out about the outside.
 *
 * Pure and deterministic: the same chain and facts give the same plan, byte for byte. Throws what a step's
 * `lower` throws, `FrontendNeeded` for a Dockerfile that the facts have no answer to, and `LayersNeeded` for a copy that
 * `facts.ways` do not name.
 */
export function compile(image: Chain, facts: Facts): Plan {
  const builder = builderVersion(facts.builderVersion);
  const compilation: Compilation = {
    facts,
    commands: [],
    marks: new Map(),
    copies: [],
    commandsIn: (definition) => planCommands(definition, compilation.commands),
    compileNested(step, { scope, index, shownAs }, key) {
      const needs = step.needs({ builder, file: () => undefined, listing: () => undefined });
      const nested = needs.images?.[key];
      if (nested === undefined) throw new TypeError(`${step.id} names no image "${key}" in its needs`);
      return lowerChain(nested, nestedScope(scope, index, key), shownAs, compilation);
    },
  };
  const chain = lowerChain(image, "", undefined, compilation);
  const definition =
    chain.state.output() === undefined ? undefined : marshal(chain.state, { platform: facts.platform });
  const found = { files: facts.files, listings: facts.listings };
  const needs = needsOf(image, { builderVersion: facts.builderVersion, found });
  const plan: Omit<Plan, "toSnapshot"> = {
    platform: facts.platform,
    definition,
    config: imageConfigOf(chain, facts.platform),
    baseConfig: chain.base,
    steps: planSteps(image, definition === undefined ? [] : [definition]),
    commands: planCommands(definition, compilation.commands),
    copies: compilation.copies.map(({ before, ...copy }) => ({
      ...copy,
      before: definition?.digestOf(before) ?? "",
    })),
    trees: needs.trees.map(({ id }) => id),
    layouts: needs.bases.filter(({ kind }) => kind !== "registry").map(({ id }) => id),
  };
  return { ...plan, toSnapshot: () => planSnapshot(plan, facts, windowsPaths(needs)) };
}

function lowerChain(
  image: Chain,
  scope: string,
  shownAs: number | undefined,
  compilation: Compilation,
): ChainState {
  let chain: ChainState = {
    state: scratch().addEnv("PATH", scratchPath.slice("PATH=".length)),
    base: undefined,
    config: { Env: [scratchPath], WorkingDir: "/" },
    history: [],
    cmdSet: false,
    force: compilation.facts.force?.kind === "replace",
  };
  for (const [index, step] of image.steps.entries()) {
    chain = step.lower(chain, llbContext(step, { scope, index, shownAs: shownAs ?? index }, compilation));
  }
  return chain;
}

/** A chain's steps with the ops that they became, in any of several definitions. */
export function planSteps(image: Chain, definitions: readonly Definition[]): readonly PlanStep[] {
  const ops = image.steps.map(() => ({ vertices: new Set<string>(), sources: new Set<string>() }));
  for (const definition of definitions) {
    for (const { digest } of definition.ops) {
      const description = definition.metadata.get(digest)?.description;
      const own = ops[Number(description?.[stepKey] ?? -1)];
      if (own === undefined) continue;
      own.vertices.add(digest);
      if (description?.[`${stepKey}.source`] === "true") own.sources.add(digest);
    }
  }
  return image.steps.map(({ id, title, location, options }, index) => ({
    index,
    id,
    title,
    location,
    vertices: [...(ops[index]?.vertices ?? [])],
    sources: [...(ops[index]?.sources ?? [])],
    timeoutMs: options?.timeoutMs,
  }));
}

function planCommands(
  definition: Definition | undefined,
  commands: readonly string[],
): ReadonlyMap<string, PlanCommand> {
  const found = new Map<string, PlanCommand>();
  for (const { digest } of definition?.ops ?? []) {
    const description = definition?.metadata.get(digest)?.description;
    const command = commands[Number(description?.[`${stepKey}.command`] ?? -1)];
    if (command !== undefined) found.set(digest, { step: Number(description?.[stepKey]), command });
  }
  return found;
}
