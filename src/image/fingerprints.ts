import { movingSources } from "../llb/moving-sources.js";
import { sourcesOf } from "../llb/rewrite-sources.js";
import type { FrontendFact } from "../model/facts.js";
import type { SecretVariable } from "../model/secret.js";
import type { StepFingerprint, StepInput } from "../model/step-input.js";
import type { PlanCopy } from "../model/tree-way.js";
import { sha256 } from "../oci/digest.js";
import { formatPlatform, type Platform } from "../oci/platform.js";
import { type BuilderVersion, builderVersion } from "./builder-version.js";
import type { AppliedStep, Chain, StepTree } from "./define-step.js";
import { ignoreLines } from "./dockerfile/ignore-lines.js";
import { findSecrets } from "./lint/find-secrets.js";
import { lintedStep, nestedChains } from "./lint/linted-step.js";
import { maskSecrets } from "./lint/mask-secrets.js";
import { windowsPaths, withForwardSlashes } from "./local-paths.js";
import { needId, nestedScope, optionDeviceKey, optionSecretKey } from "./need-id.js";
import { needsOf } from "./needs-of.js";
import {
  argumentInputs,
  canonicalArgs,
  canonicalOptions,
  envInputs,
  listInput,
  secretInput,
} from "./step-inputs.js";
import { nameOfBase, nameOfTree, type StepWork, stepWorks } from "./step-work.js";

/**
 * What of the outside goes into {@link fingerprintsOf}. Digests can only be compared where the same things were known:
 * a base that is not resolved counts by its name, a tree that was not scanned by its path.
 */
export interface FingerprintOptions {
  readonly platform: Platform;
  /** Default: the newest. */
  readonly builderVersion?: string | undefined;
  /** Version of this package. */
  readonly packageVersion: string;
  readonly sourceDateEpoch?: number | undefined;
  /** Digests that bases were resolved to, by need id. */
  readonly bases?: ReadonlyMap<string, string> | undefined;
  /** Contents of small files by need id, as the build has them. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Paths found by need id. */
  readonly listings: ReadonlyMap<string, readonly string[]>;
  /** Digests of the contents of trees, by need id. */
  readonly trees?: ReadonlyMap<string, string> | undefined;
  /** Variables that secrets are made of, by need id; default: those that their origins name. */
  readonly secrets?: ReadonlyMap<string, readonly SecretVariable[]> | undefined;
  /** Versions of those secrets that count by it, by need id. */
  readonly secretVersions?: ReadonlyMap<string, string> | undefined;
  /** What models of devices were resolved to, by need id. */
  readonly devices?: ReadonlyMap<string, string> | undefined;
  /** What frontends made of the chain's Dockerfiles: tells the images that these name. */
  readonly frontends?: ReadonlyMap<string, FrontendFact> | undefined;
  /** How trees come to the daemon (`plan.copies`); default: all file by file. */
  readonly copies?: readonly Pick<PlanCopy, "tree" | "way">[] | undefined;
  /** The session's ids of certificates: of the whole build, and of steps by need id. */
  readonly caBundle?: string | undefined;
  readonly caBundles?: ReadonlyMap<string, string> | undefined;
  /** Of a build whose commands all run for itself alone (`ignoreCache`): no other build can use what they make. */
  readonly nonce?: string | undefined;
}

/**
 * The steps of a chain as they are compared with those of other builds: all that goes into each, and digests over it.
 *
 * Pure, and alike on every machine: local paths are as the user wrote them. No values of secrets are in it, and what looks
 * like one is masked. Throws what the steps' own `needs` throw.
 */
export function fingerprintsOf(image: Chain, options: FingerprintOptions): readonly StepFingerprint[] {
  const builder = builderVersion(options.builderVersion);
  const { files, listings, trees = new Map<string, string>() } = options;
  const needs = needsOf(image, { builderVersion: builder.id, found: { files, listings } });
  const paths = windowsPaths(needs);
  const known: Known = {
    options,
    builder,
    trees,
    path: (text) => (paths.length === 0 ? text : withForwardSlashes(text, paths)),
  };
  const works = stepWorks(image, needs, {
    ...{ platform: options.platform, builderVersion: builder.id, files, listings, trees },
    sourceDateEpoch: options.sourceDateEpoch,
    bases: options.bases ?? new Map(),
    secrets: options.secrets ?? new Map(),
    caBundle: options.caBundle,
    caBundles: options.caBundles,
  });
  let chain = "";
  let extras: readonly string[] = [];
  return image.steps.map((step, index) => {
    const work = works?.[index];
    const found = inputsOf(step, { scope: "", index, work }, known);
    const inputs = unique([...found.inputs, ...settingsOf(step, work, known)]);
    const own = digestOf([
      ...[step.id, step.version, canonicalArgs(step, known.path), canonicalOptions(step, known.path)],
      ...[inputs.filter(({ name }) => !name.startsWith(wayPrefix)), found.trees, found.extras],
      work?.work,
    ]);
    chain = digestOf([chain, own]);
    extras = [...extras, ...found.extras];
    const withExtras = (digest: string | undefined, more: readonly string[]): string | undefined =>
      digest === undefined || more.length === 0 ? digest : digestOf([digest, more]);
    return {
      ...{ index, id: step.id, version: step.version, own, chain, inputs },
      title: maskOf(step, known)(known.path(step.title)),
      ...(work === undefined
        ? {}
        : {
            effect: work.effect,
            work: withExtras(work.work, found.extras),
            results: work.results.map((digest) => withExtras(digest, extras) ?? ""),
          }),
    };
  });
}

/**
 * The first step that runs again whatever is cached, with all after it: 0 for a whole chain that is forced, `undefined` if
 * none is.
 */
export function forcedFrom(image: Chain, whole: boolean): number | undefined {
  const index = whole ? 0 : image.steps.findIndex(isForced);
  return index < 0 ? undefined : index;
}

function isForced(step: AppliedStep): boolean {
  if (step.options?.forceBuild === true) return true;
  return nestedChains(step, builderVersion(undefined)).some(({ steps }) => steps.some(isForced));
}

interface Known {
  readonly options: FingerprintOptions;
  readonly builder: BuilderVersion;
  readonly trees: ReadonlyMap<string, string>;
  /** A local path, alike on all systems. */
  readonly path: (text: string) => string;
}

/** Where a step stands, and what it asks of a daemon, if that is known. */
interface Place {
  readonly scope: string;
  readonly index: number;
  readonly work: StepWork | undefined;
}

interface FoundInputs {
  readonly inputs: readonly StepInput[];
  /** Digests of all trees, those that nothing seems to read too. */
  readonly trees: readonly string[];
  /** What decides on the result beside what a daemon is asked for. */
  readonly extras: readonly string[];
}

const wayPrefix = "way of ";

function inputsOf(step: AppliedStep, place: Place, known: Known): FoundInputs {
  const { options, builder, path } = known;
  const { scope, index, work } = place;
  const idOf = (key: string): string => needId(scope, index, key);
  const needs = step.needs({
    builder,
    file: (key) => options.files.get(idOf(key)),
    listing: (key) => options.listings.get(idOf(key)),
  });
  const mask = maskOf(step, known);
  const extras: string[] = [];
  const allTrees: string[] = [];
  const bases = Object.entries(needs.bases ?? {});
  const trees = Object.entries(needs.trees ?? {});
  const nested = (chain: Chain, name: string): readonly StepInput[] => {
    const key = Object.entries(needs.images ?? {}).find(([, image]) => image === chain)?.[0] ?? name;
    const scopeOfChain = nestedScope(scope, index, key);
    const inputs = chain.steps.flatMap((inner, at) => {
      const found = inputsOf(inner, { scope: scopeOfChain, index: at, work: undefined }, known);
      extras.push(...found.extras);
      allTrees.push(...found.trees);
      return found.inputs.map((input) => ({
        ...input,
        name: `${name}.${at + 1} ${inner.id}${nestedSeparator}${input.name}`,
      }));
    });
    const steps = listInput(
      "argument",
      name,
      chain.steps.map(({ id }) => id),
    );
    return [{ ...steps, value: digestOf(canonicalArgs({ ...step, args: chain }, path)) }, ...inputs];
  };
  const told = new Set([
    ...bases.flatMap(([, base]) => [nameOfBase(base), ...(base.kind === "registry" ? [base.ref] : [])]),
    ...trees.map(([, tree]) => tree.path),
  ]);
  const inputs: StepInput[] = [
    ...argumentInputs(step, {
      mask,
      path,
      nested,
      toldElsewhere: (name, value) =>
        value === undefined
          ? trees.length > 0 && /^(?:ignored\.)?ignore$/.test(name)
          : !/^(?:remotePath|to)$/.test(name) && (told.has(value) || told.has(familiar(value))),
    }),
    ...envInputs(step.options?.env ?? [], mask),
    ...bases.map(
      ([key, base]): StepInput => ({
        kind: "base",
        name: path(nameOfBase(base)),
        value: options.bases?.get(idOf(key)) ?? "",
      }),
    ),
  ];
  for (const [key, tree] of trees) {
    const digest = known.trees.get(idOf(key));
    allTrees.push(digest ?? "");
    const ignored = ignoredOf(tree, (file) => options.files.get(idOf(file)));
    if (ignored.length > 0) inputs.push(listInput("argument", "ignore", ignored));
    // A Dockerfile's context is there for all of them, and read by few.
    if (work !== undefined && !work.reads.has(nameOfTree(tree.path, digest))) continue;
    const stored = digest === undefined ? {} : { stored: digest };
    inputs.push({ kind: "tree", name: path(tree.path), value: digest ?? "", ...stored });
    const way = options.copies?.find((copy) => copy.tree === idOf(key))?.way;
    if (way === "layers") {
      inputs.push({ kind: "setting", name: `${wayPrefix}${path(tree.path)}`, value: "layers" });
    }
  }
  const ignoreFiles = new Set(trees.flatMap(([, tree]) => tree.ignoreFiles));
  for (const [key, file] of Object.entries(needs.files ?? {})) {
    const content = options.files.get(idOf(key));
    if (content === undefined || ignoreFiles.has(key)) continue;
    const digest = sha256(content);
    inputs.push({ kind: "file", name: path(file.path), value: digest, stored: digest });
  }
  for (const [key, listing] of Object.entries(needs.listings ?? {})) {
    const name = `${path(listing.path)} ${listing.patterns.join(" ")}`;
    inputs.push(listInput("listing", name, options.listings.get(idOf(key)) ?? []));
  }
  for (const [at, secret] of (step.options?.secrets ?? []).entries()) {
    const version = options.secretVersions?.get(idOf(optionSecretKey(at)));
    const { origin } = secret;
    const name =
      "keys" in origin ? origin.keys.join(", ") : origin.kind === "name" ? origin.name : origin.path;
    inputs.push(secretInput(path(name), secret, version));
    if (version !== undefined) extras.push(`secret ${name} ${sha256(version)}`);
  }
  const gpu = step.options?.gpu;
  if (gpu !== undefined) {
    const device = options.devices?.get(idOf(optionDeviceKey));
    if (device !== undefined) extras.push(`device ${device}`);
    inputs.push({ kind: "device", name: "gpu", value: device === undefined ? gpu : `${gpu} (${device})` });
  }
  const images = frontendImages(idOf(frontendKey), known);
  inputs.push(...images);
  extras.push(...images.map(({ name, value }) => `image ${name} ${value}`));
  for (const name of work?.moving ?? []) inputs.push({ kind: "base", name, value: "" });
  if (options.nonce !== undefined && (work === undefined || work.effect === "run")) {
    extras.push(`nonce ${options.nonce}`);
  }
  return { inputs: unique(inputs), trees: allTrees, extras };
}

/** Between the place of a step in a nested chain and what the input is there. */
const nestedSeparator = ": ";

/** What the ids of questions to frontends begin with, as a key of the step's needs. */
const frontendKey = "dockerfile.";

/** The images, repositories and addresses that a frontend's answers take, but for bases of the chain. */
function frontendImages(prefix: string, { options }: Known): readonly StepInput[] {
  const ofChain = new Set(options.bases?.values());
  return [...(options.frontends ?? [])].flatMap(([id, { definition }]) => {
    if (!id.startsWith(prefix) || definition === undefined) return [];
    const moving = new Set(movingSources(definition));
    return sourcesOf(definition).flatMap(({ identifier }): readonly StepInput[] => {
      if (moving.has(identifier)) return [{ kind: "base", name: identifier, value: "" }];
      const [, name, digest] = /^docker-image:\/\/(.*)@(sha256:[0-9a-f]{64})$/.exec(identifier) ?? [];
      if (name === undefined || digest === undefined || ofChain.has(digest)) return [];
      return [{ kind: "base", name: familiar(name), value: digest }];
    });
  });
}

function settingsOf(step: AppliedStep, work: StepWork | undefined, known: Known): readonly StepInput[] {
  const { options, builder } = known;
  const setting = (name: string, value: string): StepInput => ({ kind: "setting", name, value });
  const own = [setting("package", options.packageVersion)];
  if (work?.effect === "config" || work?.effect === "settings") return own;
  const needs = step.needs({ builder, file: () => undefined, listing: () => undefined });
  const hasTimes = needs.dockerfile === true || work === undefined || work.reads.size > 0;
  const caBundle = step.options?.caBundle ?? (options.caBundle === undefined ? undefined : "of the build");
  return [
    setting("platform", formatPlatform(options.platform)),
    setting("builderVersion", builder.id),
    ...(hasTimes ? [setting("sourceDateEpoch", String(options.sourceDateEpoch ?? "default"))] : []),
    ...(step.options === undefined || caBundle === undefined || caBundle === false
      ? []
      : [setting("caBundle", known.path(caBundle))]),
    ...own,
  ];
}

/** The patterns that a tree is filtered by: those of the first file that is there, then its own. */
function ignoredOf(tree: StepTree, file: (key: string) => Uint8Array | undefined): readonly string[] {
  const content = tree.ignoreFiles.map(file).find((bytes) => bytes !== undefined);
  const lines = content === undefined ? [] : ignoreLines(new TextDecoder().decode(content));
  return [...lines, ...tree.ignore];
}

function maskOf(step: AppliedStep, { builder }: Known): (text: string) => string {
  const secrets = findSecrets(lintedStep(step, builder));
  return (text) => (secrets.length === 0 ? text : maskSecrets(text, secrets));
}

/** A reference as people write it. */
function familiar(ref: string): string {
  return ref.replace(/^docker\.io\/(?:library\/)?/, "");
}

/** Inputs whose names are there twice get a number. */
function unique(inputs: readonly StepInput[]): readonly StepInput[] {
  const seen = new Map<string, number>();
  return inputs.map((input) => {
    const key = `${input.kind} ${input.name}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count === 1 ? input : { ...input, name: `${input.name} (${count})` };
  });
}

function digestOf(value: unknown): string {
  return sha256(JSON.stringify(value) ?? "");
}
