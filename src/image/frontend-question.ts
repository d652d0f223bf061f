import type { CallSite } from "../errors.js";
import { Definition } from "../llb/definition.js";
import { fromDefinition } from "../llb/from-definition.js";
import { marshal } from "../llb/marshal.js";
import type { Facts, FrontendFact } from "../model/facts.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { ChainState } from "./chain-state.js";
import type { AppliedStep } from "./define-step.js";
import { imageConfigOf } from "./image-config-of.js";
import { withSurroundings } from "./llb-surroundings.js";
import type { DockerfileRequest } from "./lower-context.js";

/** What must be asked of the daemon's Dockerfile frontend before a chain can be compiled. */
export interface FrontendQuestion {
  /** Key of the answer in `Facts.frontends`. */
  readonly id: string;
  readonly text: string | Uint8Array;
  /** Id of the tree that COPY and ADD read. */
  readonly context: string | undefined;
  readonly target: string | undefined;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** What `FROM` of this name means. */
  readonly base: FrontendBase | undefined;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** A chain so far, as the base of a Dockerfile. */
export interface FrontendBase {
  readonly name: string;
  readonly definition: Definition;
  readonly config: ImageConfig;
}

/** Thrown by `compile` when a frontend's answer is missing from the facts: ask, add the answer, compile again. */
export class FrontendNeeded extends Error {
  readonly question: FrontendQuestion;

  constructor(question: FrontendQuestion) {
    super(`${question.title}: the Dockerfile frontend was not asked yet`);
    this.name = "FrontendNeeded";
    this.question = question;
  }
}

/** The chain as a Dockerfile makes it of `chain`; throws {@link FrontendNeeded} until the facts have the answer. */
export function frontendState(
  chain: ChainState,
  request: Omit<DockerfileRequest, "key"> & { readonly id: string },
  facts: Facts,
  use: {
    readonly step: AppliedStep;
    /** Ties ops to the step. */
    readonly description: Readonly<Record<string, string>>;
    readonly forced: boolean;
  },
): ChainState {
  const { step } = use;
  const base: FrontendBase | undefined =
    request.baseName === undefined
      ? undefined
      : {
          name: request.baseName,
          definition: marshal(chain.state, { platform: facts.platform }),
          config: imageConfigOf(chain, facts.platform),
        };
  const answer = facts.frontends.get(request.id);
  if (answer === undefined) {
    throw new FrontendNeeded({
      id: request.id,
      text: request.text,
      context: request.context,
      target: request.target,
      buildArgs: request.buildArgs ?? {},
      base,
      title: step.title,
      location: step.location,
    });
  }
  return stateOf(answer, chain, base, use);
}

function stateOf(
  { definition, config }: FrontendFact,
  chain: ChainState,
  base: FrontendBase | undefined,
  {
    description,
    forced,
  }: { readonly description: Readonly<Record<string, string>>; readonly forced: boolean },
): ChainState {
  const container = config.config ?? {};
  const state =
    definition === undefined ? chain.state : fromDefinition(owned(definition, base, description, forced));
  return {
    state: withSurroundings(state, container.Env ?? [], container.WorkingDir),
    base: base === undefined ? config : (chain.base ?? config),
    config: container,
    history: config.history ?? [],
    cmdSet: container.Cmd !== undefined && container.Cmd !== null && container.Cmd !== chain.config.Cmd,
    force: forced,
  };
}

// The ops of the chain so far keep what is said of them; those that the frontend made belong to the step.
function owned(
  definition: Definition,
  base: FrontendBase | undefined,
  description: Readonly<Record<string, string>>,
  forced: boolean,
): Definition {
  const metadata = new Map(definition.metadata);
  for (const { digest } of definition.ops.slice(0, -1)) {
    const known = base?.definition.metadata.get(digest);
    const found = metadata.get(digest) ?? {};
    metadata.set(
      digest,
      known ?? {
        ...found,
        description: { ...found.description, ...description },
        ...(forced ? { ignoreCache: true } : {}),
      },
    );
  }
  return new Definition({
    ops: definition.ops,
    metadata,
    source: definition.source,
    unsentCaps: definition.unsentCaps,
  });
}
