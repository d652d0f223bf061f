import { compile, planSteps } from "../image/compile.js";
import type { Chain } from "../image/define-step.js";
import { LayersNeeded } from "../image/layers-question.js";
import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { Plan } from "../model/plan.js";
import type { TreeWay } from "../model/tree-way.js";
import { prepareOutputs } from "../solver/prepare-outputs.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import type { BuildResult } from "./build.js";
import { knownDaemon } from "./known-daemon.js";
import type { OngoingBuild } from "./ongoing-build.js";
import { knownLayoutBlobs } from "./outputs/layout-blobs.js";
import { type AppendedTree, appendTree, canAppendTo, registriesOf } from "./trees/append-tree.js";
import { LayeredTrees, UnknownLayers } from "./trees/layered-trees.js";
import { type KnownBuild, whyAlwaysSolved } from "./verified-build.js";

/** For how long what a daemon told of itself is taken for what it would tell now. */
const trustedMs = 60 * 60 * 1000;

/**
 * Carries out a build that ends with a tree without its daemon: the layers below the tree are known and where they are
 * wanted, those of the tree are made here.
 *
 * `undefined` if anything of that is not so; then nothing of it was
 * written, and the daemon has to be asked. Rejects as
 * `Engine.build`'s result does.
 */
export async function appendKnown(build: OngoingBuild, known: KnownBuild): Promise<BuildResult | undefined> {
  const facts = await daemonFor(build, known);
  if (facts === undefined) return undefined;
  const { platform, gathered } = known;
  const scene = { platform, needs: gathered.needs };
  const settings: SolveSettings = { ...gathered.settings, signal: build.signal };
  try {
    build.recorder.identified(known.identity, known.facts);
    const result = await build.share(known.identity, undefined);
    if (result !== undefined) return result;
    const appended = await append(build, known, { facts, settings });
    if (appended === undefined) {
      build.restart();
      return undefined;
    }
    return await build.succeeded(scene, { outputs: appended.outputs, answer: undefined });
  } catch (error) {
    throw await build.failed(scene, error);
  }
}

/** The daemon's facts, if the build may do without it. */
async function daemonFor(
  { job }: OngoingBuild,
  { identity, gathered }: KnownBuild,
): Promise<DaemonFacts | undefined> {
  const { settings, publish } = gathered;
  if (whyAlwaysSolved(gathered) !== undefined || identity.moving.length > 0) return undefined;
  if (publish !== undefined || settings.sourceLock !== undefined) return undefined;
  const { steps, copies } = identity.plan;
  const last = steps.findLast(({ vertices }) => vertices.length > 0);
  if (last === undefined || last.index !== copies.at(-1)?.step) return undefined;
  if (!canAppendTo(settings.outputs ?? [], registriesOf(job.engine, settings))) return undefined;
  const daemon = await knownDaemon(job.address, job.index);
  const age = daemon === undefined ? Number.NaN : Date.now() - daemon.at;
  // A clock that was set back makes it come from the future.
  return age >= 0 && age < trustedMs ? daemon?.facts : undefined;
}

async function append(
  build: OngoingBuild,
  { identity, gathered, facts: known }: KnownBuild,
  { facts, settings }: { readonly facts: DaemonFacts; readonly settings: SolveSettings },
): Promise<AppendedTree | undefined> {
  const { job, recorder } = build;
  const { image, index, scans } = job;
  const { sourceDateEpoch } = gathered;
  const outputs = settings.outputs ?? [];
  const layers = new LayeredTrees({
    ...{ facts, settings, index, scans, sourceDateEpoch, forced: false, describe: undefined },
    expect: (question, isSolved) => build.expect(question, isSolved),
  });
  build.announce();
  const packedFrom = performance.now();
  const plan = await compileOnto(layers, { image, identity, facts: known });
  if (plan === undefined) return undefined;
  await prepareOutputs(outputs);
  const appended = await appendTree(plan, {
    ...{ image: layers.images.at(-1), outputs, facts, sourceDateEpoch, signal: settings.signal },
    registries: registriesOf(job.engine, settings),
    blobVersions: await knownLayoutBlobs(index, outputs),
  });
  if (appended === undefined) return undefined;
  build.watch(plan);
  recorder.planned(plan.copies);
  build.made(appended.step, appended.ran ? "ran" : "cached", performance.now() - packedFrom);
  return appended;
}

/** The plan with its trees as layers; `undefined` if a daemon has to be asked what is below one. */
async function compileOnto(
  layers: LayeredTrees,
  { image, identity, facts }: Pick<KnownBuild, "identity" | "facts"> & { readonly image: Chain },
): Promise<Plan | undefined> {
  const ways = new Map<string, TreeWay>();
  // What was solved on its own for a layer to be put on top of it: its steps are steps of this build.
  const before: Definition[] = [];
  for (;;) {
    try {
      const plan = compile(image, { ...facts, ways });
      const definitions = plan.definition === undefined ? before : [...before, plan.definition];
      return { ...plan, steps: planSteps(image, definitions) };
    } catch (error) {
      if (!(error instanceof LayersNeeded)) throw error;
      const { question } = error;
      const way = await layers.way(question, identity.plan).catch((cause: unknown) => {
        if (cause instanceof UnknownLayers) return undefined;
        throw cause;
      });
      if (way === undefined) return undefined;
      ways.set(question.id, way);
      if (question.before !== undefined) before.push(question.before);
    }
  }
}
