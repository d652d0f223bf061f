import type { Definition } from "../llb/definition.js";
import { marshal } from "../llb/marshal.js";
import { scratch } from "../llb/state.js";
import type { Facts } from "../model/facts.js";
import type { Plan, PlanCommand, PlanStep } from "../model/plan.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import type { ChainState } from "./chain-state.js";
import type { Image } from "./image.js";
import { lowerContext } from "./lower-context.js";
import { needsOf } from "./needs-of.js";
import { stepKey } from "./step-key.js";

/** What an image config without a base starts with: nothing but a search path, as BuildKit gives it. */
const scratchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Compiles a chain for one platform, with what was found out about the outside.
 *
 * Pure and deterministic: the same chain and facts give the same plan, byte for byte. Throws what a step's
 * `lower` throws.
 */
export function compile(image: Image, facts: Facts): Plan {
  const commands: string[] = [];
  let chain: ChainState = {
    state: scratch().addEnv("PATH", scratchPath.slice("PATH=".length)),
    base: undefined,
    config: { Env: [scratchPath], WorkingDir: "/" },
    history: [],
    cmdSet: false,
  };
  for (const [index, step] of image.steps.entries()) {
    chain = step.lower(chain, lowerContext(index, facts, commands));
  }
  const definition =
    chain.state.output() === undefined ? undefined : marshal(chain.state, { platform: facts.platform });
  const needs = needsOf(image);
  return {
    platform: facts.platform,
    definition,
    config: imageConfig(chain, facts.platform),
    baseConfig: chain.base,
    steps: planSteps(image, definition),
    commands: planCommands(definition, commands),
    trees: needs.trees.map(({ id }) => id),
    layouts: needs.bases.filter(({ kind }) => kind === "oci-layout").map(({ id }) => id),
  };
}

function planSteps(image: Image, definition: Definition | undefined): readonly PlanStep[] {
  const ops = image.steps.map(() => ({ vertices: [] as string[], sources: [] as string[] }));
  for (const { digest } of definition?.ops ?? []) {
    const description = definition?.metadata.get(digest)?.description;
    const own = ops[Number(description?.[stepKey] ?? -1)];
    if (own === undefined) continue;
    own.vertices.push(digest);
    if (description?.[`${stepKey}.source`] === "true") own.sources.push(digest);
  }
  return image.steps.map(({ id, title, location }, index) => ({
    index,
    id,
    title,
    location,
    vertices: ops[index]?.vertices ?? [],
    sources: ops[index]?.sources ?? [],
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

// `rootfs` and `created` are the exporter's to fill in: it knows the layers and when they were made.
function imageConfig(chain: ChainState, platform: Platform): ImageConfig {
  const { rootfs: _rootfs, created: _created, ...base } = chain.base ?? { architecture: "", os: "" };
  const config = Object.fromEntries(
    Object.entries(chain.config).filter(([, value]) => value !== undefined && value !== null),
  );
  return {
    ...base,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config,
    history: chain.history,
  };
}
