import { compile, planSteps } from "../image/compile.js";
import type { Chain } from "../image/define-step.js";
import { FrontendNeeded, type FrontendQuestion } from "../image/frontend-question.js";
import { LayersNeeded, type LayersQuestion } from "../image/layers-question.js";
import type { Definition } from "../llb/definition.js";
import type { BaseFact, Facts, FrontendFact } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import type { TreeWay } from "../model/tree-way.js";
import type { Platform } from "../oci/platform.js";
import type { Session } from "../session/session.js";
import type { Client } from "../solver/client.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import { mergeSourceLocks, type SourceLock } from "../solver/source-lock/source-lock.js";
import { askFrontend } from "./ask-frontend.js";
import { lockPlan } from "./bases/lock-plan.js";
import { lockOfBases, resolveBases } from "./bases/resolve-bases.js";
import { factsOf } from "./inputs/facts-of.js";
import type { Gathered } from "./inputs/gather.js";
import type { Mirrors } from "./registries/mirrors.js";

/** What {@link resolveFacts} and {@link compileChain} work with. */
export interface MakePlanOptions {
  readonly client: Client;
  readonly session: Session;
  readonly gathered: Gathered;
  /** The solve's settings as they will be sent. */
  readonly settings: SolveSettings;
  readonly platform: Platform;
  readonly mirrors: Mirrors;
}

/** What {@link resolveFacts} may be told. */
export interface ResolveFactsOptions extends MakePlanOptions {
  /** The bases, if all are known for certain, for which nobody need be asked. */
  readonly bases?: ReadonlyMap<string, BaseFact> | undefined;
  /** The lock that the build goes by, if it goes by one. */
  readonly lock: SourceLock | undefined;
}

/** A chain's facts, and what its sources are locked to. */
export interface ResolvedChain {
  readonly facts: Facts;
  /** The lock with the bases as they were resolved; `undefined` = the build goes by none. */
  readonly lock: SourceLock | undefined;
  /** The lock before. */
  readonly lockedBefore: SourceLock | undefined;
}

/** Has the daemon resolve a chain's bases. Rejects as {@link resolveBases} does. */
export async function resolveFacts(options: ResolveFactsOptions): Promise<ResolvedChain> {
  const { client, session, gathered, settings, platform, mirrors, lock: lockedBefore } = options;
  const { needs, inputs } = gathered;
  const bases =
    options.bases ??
    (await resolveBases(needs, {
      connection: client.connection,
      session,
      platform,
      inputs,
      mirrors,
      policy: settings,
      signal: settings.signal,
      lock: lockedBefore,
      pull: settings.pull,
    }));
  const lock = lockedBefore && lockOfBases(needs, bases, { platform, lock: lockedBefore });
  return { facts: factsOf(gathered, platform, bases), lock, lockedBefore };
}

/** Decides how a copied tree comes to the daemon. */
export type WayChooser = (question: LayersQuestion) => Promise<TreeWay>;

/** What {@link compileChain} may be told. */
export interface CompileChainOptions extends MakePlanOptions {
  /** Default: all trees are sent file by file. */
  readonly chooseWay?: WayChooser | undefined;
  /** Whether the steps' own sources are pinned, and the lock is written to its file. Default true. */
  readonly pinned?: boolean | undefined;
  /** Gets what frontends made of the chain. */
  readonly frontends?: Map<string, FrontendFact> | undefined;
  /** Answers of frontends so far, by question. Shared by compilations of one build, which go by one lock. */
  readonly answers?: Map<string, { readonly fact: FrontendFact; readonly lock: SourceLock }> | undefined;
}

/** Compiles a chain: asks the daemon about its Dockerfiles and locked sources, and how its trees are to come. */
export async function compileChain(
  image: Chain,
  resolved: ResolvedChain,
  options: CompileChainOptions,
): Promise<Plan> {
  const { client, session, gathered, settings, platform, mirrors } = options;
  const { chooseWay, pinned = true, answers = new Map() } = options;
  const frontends = options.frontends ?? new Map<string, FrontendFact>();
  const ways = new Map<string, TreeWay>();
  // What was solved on its own for a layer to be put on top of it: its steps are steps of this build.
  const before: Definition[] = [];
  const facts: Facts = {
    ...resolved.facts,
    frontends,
    ways: chooseWay === undefined ? undefined : ways,
  };
  let { lock } = resolved;
  for (;;) {
    try {
      const compiled = compile(image, facts);
      const plan = await lockPlan(compiled, {
        ...{ client, settings, platform, lock: pinned ? lock : undefined, before: resolved.lockedBefore },
      });
      if (before.length === 0) return plan;
      const definitions = plan.definition === undefined ? before : [...before, plan.definition];
      return { ...plan, steps: planSteps(image, definitions) };
    } catch (error) {
      if (error instanceof LayersNeeded && chooseWay !== undefined) {
        const { question } = error;
        if (ways.has(question.id)) throw new TypeError(`${question.title} asks twice`);
        ways.set(question.id, await chooseWay(question));
        if (question.before !== undefined) before.push(question.before);
        continue;
      }
      if (!(error instanceof FrontendNeeded)) throw error;
      const { question } = error;
      if (frontends.has(question.id)) throw new TypeError(`${question.title} asks twice`);
      const key = keyOfQuestion(question);
      const answer =
        answers.get(key) ??
        (await askFrontend(question, {
          ...{ client, session, platform, settings, mirrors, lock },
          mirrorLayouts: gathered.inputs.mirrorLayouts,
        }));
      answers.set(key, answer);
      frontends.set(question.id, answer.fact);
      lock &&= mergeSourceLocks(lock, answer.lock);
    }
  }
}

/** Equal for questions with equal answers. */
function keyOfQuestion({ id, text, options, inputs }: FrontendQuestion): string {
  const graphs = Object.entries(inputs).map(([name, { ops }]) => [name, ops.at(-1)?.digest]);
  return JSON.stringify([id, text, options, graphs]);
}
