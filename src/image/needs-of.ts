import type {
  BaseNeed,
  CaBundleNeed,
  DeviceNeed,
  FileNeed,
  ListingNeed,
  Needs,
  SecretNeed,
  TreeNeed,
} from "../model/needs.js";
import { type BuilderVersion, builderVersion } from "./builder-version.js";
import type { AppliedStep, Chain } from "./define-step.js";
import { needId, nestedScope, optionCaKey, optionDeviceKey, optionSecretKey } from "./need-id.js";

/** What was found of a chain's needs so far. */
export interface FoundFiles {
  /** Contents by need id; one that is optional and not there has no entry. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly listings: ReadonlyMap<string, readonly string[]>;
}

/** Options of {@link needsOf}. */
export interface NeedsOptions {
  /** Default: the newest. */
  readonly builderVersion?: string | undefined;
  /** Files and listings that are there already: steps may need what these name. Default none. */
  readonly found?: FoundFiles | undefined;
}

const nothingFound: FoundFiles = { files: new Map(), listings: new Map() };

/**
 * What a chain needs from outside before it can be compiled. Pure.
 *
 * A file may name others (a requirements file, a workspace): once `files` and `listings` of the answer were read, ask
 * again with them as `found`, until nothing new is needed.
 */
export function needsOf(image: Chain, options: NeedsOptions = {}): Needs {
  const found: Collected = {
    bases: [],
    trees: [],
    files: [],
    listings: [],
    secrets: [],
    devices: [],
    caBundles: [],
    usesDockerfile: false,
  };
  const builder = builderVersion(options.builderVersion);
  collectChain(image, "", { builder, found: options.found ?? nothingFound }, found);
  return found;
}

interface Collected {
  readonly bases: BaseNeed[];
  readonly trees: TreeNeed[];
  readonly files: FileNeed[];
  readonly listings: ListingNeed[];
  readonly secrets: SecretNeed[];
  readonly devices: DeviceNeed[];
  readonly caBundles: CaBundleNeed[];
  usesDockerfile: boolean;
}

interface Known {
  readonly builder: BuilderVersion;
  readonly found: FoundFiles;
}

function collectChain(chain: Chain, scope: string, known: Known, into: Collected): void {
  for (const [index, step] of chain.steps.entries()) collectStep(step, scope, index, known, into);
}

function collectStep(step: AppliedStep, scope: string, index: number, known: Known, into: Collected): void {
  const { location, title, options } = step;
  const idOf = (key: string): string => needId(scope, index, key);
  const needs = step.needs({
    builder: known.builder,
    file: (key) => known.found.files.get(idOf(key)),
    listing: (key) => known.found.listings.get(idOf(key)),
  });
  into.usesDockerfile ||= needs.dockerfile === true;
  for (const [key, base] of Object.entries(needs.bases ?? {})) {
    const own = { id: idOf(key), location };
    if (base.kind !== "registry") into.bases.push({ ...base, ...own });
    else {
      const auth = base.auth && { ...base.auth, secret: idOf(base.auth.secret) };
      into.bases.push({ ...base, ...own, auth });
    }
  }
  for (const [key, tree] of Object.entries(needs.trees ?? {})) {
    into.trees.push({ ...tree, ignoreFiles: tree.ignoreFiles.map(idOf), id: idOf(key), title, location });
  }
  for (const [key, file] of Object.entries(needs.files ?? {})) {
    into.files.push({ path: file.path, optional: file.optional ?? false, id: idOf(key), title, location });
  }
  for (const [key, listing] of Object.entries(needs.listings ?? {})) {
    into.listings.push({ ...listing, id: idOf(key), title, location });
  }
  for (const [key, { origin }] of Object.entries(needs.registrySecrets ?? {})) {
    into.secrets.push({ origin, use: "registry", id: idOf(key), title, location });
  }
  for (const [place, { origin, isVersioned }] of (options?.secrets ?? []).entries()) {
    const versioned = isVersioned ? { versioned: true } : {};
    const id = idOf(optionSecretKey(place));
    into.secrets.push({ origin, use: "command", ...versioned, id, title, location });
  }
  if (options?.gpu !== undefined) {
    into.devices.push({ gpu: options.gpu, id: idOf(optionDeviceKey), title, location });
  }
  if (typeof options?.caBundle === "string") {
    into.caBundles.push({ path: options.caBundle, id: idOf(optionCaKey), title, location });
  }
  for (const [key, chain] of Object.entries(needs.images ?? {})) {
    collectChain(chain, nestedScope(scope, index, key), known, into);
  }
}
