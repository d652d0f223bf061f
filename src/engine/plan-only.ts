import { hostname } from "node:os";
import type { Chain } from "../image/define-step.js";
import { randomId } from "../internal/random-id.js";
import type { FrontendFact } from "../model/facts.js";
import type { Forecast } from "../model/forecast.js";
import type { Plan } from "../model/plan.js";
import { openSession } from "../session/session.js";
import type { Client } from "../solver/client.js";
import { sessionServices } from "../solver/session-services.js";
import { openLock } from "./bases/open-lock.js";
import type { BuildOptions } from "./build.js";
import { identifyBuild, identityFacts } from "./build-identity.js";
import type { BuildJob } from "./build-job.js";
import { choosePlatform } from "./build-platform.js";
import { type ForeseenWay, forecastBuild } from "./forecast-build.js";
import { type EngineSettings, gather, withRootfs } from "./inputs/gather.js";
import { LaterWork } from "./later-work.js";
import { compileChain, resolveFacts } from "./make-plan.js";
import { openCache } from "./open-cache.js";
import { LayeredTrees } from "./trees/layered-trees.js";
import { digestsOf, type ScannedInputs, scanInputs } from "./trees/scan-inputs.js";
import { answerUnsolved } from "./verified-build.js";

/** A plan, with what carrying it out would be. */
export interface BuildPlan extends Plan {
  /** Which steps would run and why, what would be sent, and how long it would take, by the records of earlier builds. */
  readonly forecast: Forecast;
}

/** Makes the plan that a build would carry out; runs nothing, and writes nothing but a lock file that is named. */
export async function planOnly(
  image: Chain,
  options: BuildOptions,
  { client, engine }: { readonly client: Client; readonly engine: EngineSettings },
): Promise<BuildPlan> {
  const { signal } = options;
  const { address } = client;
  signal?.throwIfAborted();
  const index = openCache({ cacheDir: engine.cacheDir, env: engine.env });
  const local = await gather(image, options, engine);
  const scans: ScannedInputs = index.enabled ? await scanInputs(local, { index, signal }) : new Map();
  const daemon = await client.facts({ signal });
  const platform = choosePlatform(options.platform, daemon);
  const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
  const { settings } = gathered;
  const services = sessionServices(client, settings, {
    outputs: [],
    stores: new Map(),
    chooser: undefined,
  });
  const session = openSession(client.connection, { services: services.services, sharedKey: hostname() });
  const job: BuildJob = {
    ...{ image, options, index, gathered, scans, engine, address, ref: randomId(), startedAt: Date.now() },
    later: new LaterWork(),
    connect: async () => client,
    closed: new AbortController().signal,
    emit: () => {},
  };
  try {
    const { mirrors } = engine;
    const frontends = new Map<string, FrontendFact>();
    const making = { client, session, gathered, settings, platform, mirrors, answers: new Map() };
    const resolved = await resolveFacts({ ...making, lock: (await openLock(settings))?.lock });
    const plain = identityFacts(resolved.facts, digestsOf(scans));
    const identity = identifyBuild(
      await compileChain(image, { ...resolved, facts: plain }, { ...making, frontends, pinned: false }),
      gathered,
    );
    const noop = index.enabled && typeof (await answerUnsolved(identity, job, platform)) !== "string";
    const layers = new LayeredTrees({
      ...{ facts: daemon, settings, index, scans, sourceDateEpoch: gathered.sourceDateEpoch },
      forced: gathered.force !== undefined,
      expect: () => {},
      describe: undefined,
    });
    const ways: ForeseenWay[] = [];
    const plan = await compileChain(image, resolved, {
      ...making,
      chooseWay: async (question) => {
        ways.push(await layers.foresee(question, identity.plan));
        return { kind: "local" };
      },
    });
    const facts = { ...resolved.facts, frontends };
    return { ...plan, forecast: await forecastBuild(job, { facts, daemon: address, ways, noop }) };
  } finally {
    await session.close();
    await services.settled();
  }
}
