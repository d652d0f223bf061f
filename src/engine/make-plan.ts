import { KilnError } from "../errors.js";
import { builderVersion as builderVersionOf } from "../image/builder-version.js";
import { compile } from "../image/compile.js";
import type { Chain } from "../image/define-step.js";
import { FrontendNeeded } from "../image/frontend-question.js";
import { randomId } from "../internal/random-id.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { Facts, FrontendFact } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import { normalizePlatform, type Platform, parsePlatform } from "../oci/platform.js";
import type { Session } from "../session/session.js";
import type { Client } from "../solver/client.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import { mergeSourceLocks } from "../solver/source-lock/source-lock.js";
import { askFrontend } from "./ask-frontend.js";
import type { BuildOptions } from "./build.js";
import type { Gathered } from "./gather.js";
import { lockPlan, openLock } from "./lock-plan.js";
import type { Mirrors } from "./mirrors.js";
import { lockOfBases, resolveBases } from "./resolve-bases.js";

/** What {@link makePlan} works with. */
export interface MakePlanOptions {
  readonly client: Client;
  readonly session: Session;
  readonly gathered: Gathered;
  /** The solve's settings as they will be sent. */
  readonly settings: SolveSettings;
  readonly platform: Platform;
  readonly mirrors: Mirrors;
}

/** Asks the daemon what the chain leaves open (bases, Dockerfiles, locked sources), and compiles it. */
export async function makePlan(image: Chain, options: MakePlanOptions): Promise<Plan> {
  const { client, session, gathered, settings, platform, mirrors } = options;
  const { needs, inputs, found, secrets, caBundles } = gathered;
  const locked = await openLock(settings);
  const bases = await resolveBases(needs, {
    connection: client.connection,
    session,
    platform,
    inputs,
    mirrors,
    policy: settings,
    signal: settings.signal,
    lock: locked?.lock,
    pull: settings.pull,
  });
  const frontends = new Map<string, FrontendFact>();
  const facts: Facts = {
    platform,
    bases,
    builderVersion: builderVersionOf(gathered.builderVersion).id,
    trees: inputs.treeFacts,
    files: found.files,
    listings: found.listings,
    secrets: secrets.facts,
    frontends,
    force: gathered.force,
    caBundle: caBundles.common,
    caBundles: caBundles.byStep,
    sourceDateEpoch: gathered.sourceDateEpoch,
    localUniqueId: randomId(),
  };
  let lock = locked && lockOfBases(needs, bases, { platform, lock: locked.lock });
  for (;;) {
    try {
      const compiled = compile(image, facts);
      return await lockPlan(compiled, { client, settings, platform, lock, before: locked?.lock });
    } catch (error) {
      if (!(error instanceof FrontendNeeded)) throw error;
      const { question } = error;
      if (frontends.has(question.id)) throw new TypeError(`${question.title} asks twice`);
      const { mirrorLayouts } = inputs;
      const answer = await askFrontend(question, {
        ...{ client, session, platform, settings, mirrors, mirrorLayouts, lock },
      });
      frontends.set(question.id, answer.fact);
      lock &&= mergeSourceLocks(lock, answer.lock);
    }
  }
}

/** The daemon's first Linux platform, or the one asked for if any worker has it. */
export function choosePlatform(wanted: BuildOptions["platform"], facts: DaemonFacts): Platform {
  if (wanted !== undefined)
    return typeof wanted === "string" ? parsePlatform(wanted) : normalizePlatform(wanted);
  const offered = facts.workers.flatMap(({ platforms }) => platforms);
  const linux = offered.find(({ os }) => os === "linux");
  if (linux !== undefined) return linux;
  throw new KilnError("ERR_KILN_UNSUPPORTED", `the daemon at ${facts.address} offers no Linux platform`, {
    hint: "Name the platform to build for.",
  });
}
