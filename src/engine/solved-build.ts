import type { CacheIndex } from "../cache/records/cache-index.js";
import { randomId } from "../internal/random-id.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { FrontendFact } from "../model/facts.js";
import { isBlobWhole } from "../oci/blob-file.js";
import type { Platform } from "../oci/platform.js";
import type { Session } from "../session/session.js";
import type { Client } from "../solver/client.js";
import { describeImage } from "../solver/image-manifest.js";
import { runSessionSolve } from "../solver/run-session-solve.js";
import type { Solved } from "../solver/solve-request.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import { keepBases, knownBases } from "./bases/known-bases.js";
import { openLock } from "./bases/open-lock.js";
import type { BuildResult } from "./build.js";
import { identifyBuild, identityFacts } from "./build-identity.js";
import { choosePlatform } from "./build-platform.js";
import { withDevices } from "./device-rights.js";
import { type Gathered, withRootfs } from "./inputs/gather.js";
import { keepDaemon } from "./known-daemon.js";
import { compileChain, resolveFacts } from "./make-plan.js";
import type { MadeOutputs, OngoingBuild } from "./ongoing-build.js";
import { type BlobVersions, knownLayoutBlobs } from "./outputs/layout-blobs.js";
import { preparePublication } from "./outputs/publish.js";
import { phase } from "./phase.js";
import { appendTree, registriesOf } from "./trees/append-tree.js";
import { LayeredTrees } from "./trees/layered-trees.js";
import { digestsOf } from "./trees/scan-inputs.js";
import { answerUnsolved } from "./verified-build.js";

interface Making {
  readonly build: OngoingBuild;
  readonly client: Client;
  readonly facts: DaemonFacts;
  readonly platform: Platform;
  readonly gathered: Gathered;
  readonly settings: SolveSettings;
}

/** What was made; or the result of a build that needs no more. */
type Made = MadeOutputs | { readonly result: BuildResult };

/** Thrown where a solve would begin, if there is nothing left to solve. */
class NothingToSolve extends Error {
  readonly made: Made;

  constructor(made: Made) {
    super("there is nothing to solve");
    this.made = made;
  }
}

/** Carries out a build for which its daemon is asked. Rejects as `Engine.build`'s result does. */
export async function solveBuild(build: OngoingBuild, client: Client): Promise<BuildResult> {
  const { signal } = build;
  const { options, index, engine, gathered: local } = build.job;
  build.emit(phase("connect", `connecting to ${client.address}`));
  const facts = await client.facts({ signal });
  await keepDaemon(facts, index);
  const platform = choosePlatform(options.platform, facts);
  const gathered = await withRootfs(local, { platform, cacheDir: engine.cacheDir });
  const outputs = gathered.settings.outputs ?? [];
  const publication =
    gathered.publish === undefined
      ? undefined
      : await preparePublication(gathered.publish, outputs, { place: engine.images, signal });
  const settings: SolveSettings = {
    ...gathered.settings,
    outputs: publication?.outputs ?? outputs,
    entitlements: withDevices(gathered.settings.entitlements, gathered.needs.devices, facts),
    signal,
  };
  const scene = { platform, needs: gathered.needs };
  try {
    const made = await make({ build, client, facts, platform, gathered, settings });
    if ("result" in made) return made.result;
    return await build.succeeded(scene, {
      ...made,
      outputs: (await publication?.finish(made.outputs)) ?? made.outputs,
    });
  } catch (error) {
    throw await build.failed(scene, error);
  } finally {
    await publication?.close();
  }
}

/** Solves, or finds that this is not needed. */
async function make(making: Making): Promise<Made> {
  const { build, client, facts, gathered, settings } = making;
  const { index, scans, ref } = build.job;
  const blobVersions = await knownLayoutBlobs(index, settings.outputs ?? []);
  for (let attempt = 1; ; attempt += 1) {
    const layers: LayeredTrees = new LayeredTrees({
      ...{ facts, settings, index, scans, sourceDateEpoch: gathered.sourceDateEpoch },
      forced: gathered.force !== undefined,
      expect: (question, isSolved) => build.expect(question, isSolved),
      describe: (image) =>
        describeImage(
          client,
          { ...image, ref: randomId(), facts, settings, stores: layers.stores },
          (event) => build.hear(event),
        ),
    });
    try {
      return await runSessionSolve(
        client,
        {
          ref: attempt === 1 ? ref : randomId(),
          facts,
          settings,
          stores: layers.stores,
          blobVersions,
          blobAt: (digest) => wholeBlob(index, digest),
          solved: (session) => prepare(session, making, layers, blobVersions),
        },
        (event) => {
          build.recorder.heard();
          build.hear(event);
        },
      );
    } catch (error) {
      if (error instanceof NothingToSolve) return error.made;
      // The daemon has lost layers that it told of: asked anew, it makes them again.
      if (attempt > 1 || !layers.lost || build.signal.aborted) throw error;
      await layers.forget();
      build.restart();
      build.emit(phase("solve", "the daemon has lost layers that it had: building them again"));
    } finally {
      build.recorder.sent(layers.sentBytes);
    }
  }
}

/** The file of a blob that the index has, if it is whole. */
async function wholeBlob({ blobs }: CacheIndex, digest: string): Promise<string | undefined> {
  if (!(await blobs.has(digest))) return undefined;
  const path = blobs.path(digest);
  return (await isBlobWhole(path, digest)) ? path : undefined;
}

/** Finds out what is to be solved. Throws {@link NothingToSolve}. */
async function prepare(
  session: Session,
  { build, client, facts, platform, gathered, settings }: Making,
  layers: LayeredTrees,
  blobVersions: BlobVersions,
): Promise<Solved> {
  const { recorder, job } = build;
  const { image, index, engine, scans } = job;
  const { mirrors } = engine;
  const { needs } = gathered;
  const lock = (await openLock(settings))?.lock;
  const bases = index.enabled
    ? await knownBases(needs, { index, platform, settings, inputs: gathered.inputs, mirrors, lock })
    : undefined;
  const asked = bases === undefined && needs.bases.length > 0;
  if (asked || needs.usesDockerfile) build.emit(phase("resolve", "resolving the base"));
  const frontends = new Map<string, FrontendFact>();
  const making = { client, session, gathered, settings, platform, mirrors, answers: new Map() };
  const resolved = await resolveFacts({ ...making, bases, lock });
  await keepBases(needs, resolved.facts.bases, { index, platform, mirrors });
  const plain = identityFacts(resolved.facts, digestsOf(scans));
  const identity = identifyBuild(
    await compileChain(
      image,
      { ...resolved, facts: { ...plain, frontends } },
      { ...making, frontends, pinned: false },
    ),
    gathered,
  );
  recorder.identified(identity, { ...resolved.facts, frontends });
  if (!build.leads && index.enabled) {
    const unsolved = await answerUnsolved(identity, job, platform);
    if (typeof unsolved !== "string") {
      // What the lock did not hold is in it afterwards, solved or not.
      if (resolved.lock !== undefined) await compileChain(image, resolved, making);
      await recorder.verified(unsolved);
      throw new NothingToSolve({ result: unsolved.result });
    }
    const result = await build.share(identity, resolved.lock);
    if (result !== undefined) throw new NothingToSolve({ result });
  }
  build.announce();
  const packedFrom = performance.now();
  const plan = await compileChain(image, resolved, {
    ...making,
    chooseWay: index.enabled ? (question) => layers.way(question, identity.plan) : undefined,
  });
  build.watch(plan);
  recorder.planned(plan.copies);
  const appended = await appendTree(plan, {
    image: layers.images.at(-1),
    outputs: settings.outputs ?? [],
    facts,
    registries: registriesOf(engine, settings),
    blobVersions,
    sourceDateEpoch: gathered.sourceDateEpoch,
    signal: settings.signal,
  });
  if (appended !== undefined) {
    const { step, ran, outputs } = appended;
    build.made(step, ran ? "ran" : "cached", performance.now() - packedFrom);
    throw new NothingToSolve({ outputs, answer: undefined });
  }
  build.emit(phase("solve", `building ${plan.steps.length} steps`));
  recorder.asked();
  return { definition: plan.definition, config: plan.config };
}
