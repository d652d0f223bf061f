import { resolve } from "node:path";
import { KilnError } from "../../errors.js";
import type { Chain } from "../../image/define-step.js";
import { type FoundFiles, needsOf } from "../../image/needs-of.js";
import type { ForceFact } from "../../model/facts.js";
import type { BaseNeed, Needs } from "../../model/needs.js";
import type { Platform } from "../../oci/platform.js";
import type { TlsOptions } from "../../rpc/tls-options.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import type { BuildOptions } from "../build.js";
import { findPublished, type ImagePlace } from "../outputs/image-place.js";
import { baseCredentials } from "../registries/base-credentials.js";
import type { Mirrors } from "../registries/mirrors.js";
import type { RegistryAccess } from "../registries/registry-access.js";
import { type GatheredCaBundles, gatherCaBundles } from "./ca-bundles.js";
import { forceFact } from "./force-fact.js";
import { gatherFiles } from "./gather-files.js";
import { gatherInputs, gatherRootfs, type LocalInputs } from "./gather-inputs.js";
import { type GatheredSecrets, gatherSecrets, type SecretProvider } from "./gather-secrets.js";
import { resolvePaths } from "./resolve-paths.js";

/** What an engine was told that holds for all its builds. */
export interface EngineSettings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly secretProviders: readonly SecretProvider[];
  readonly mirrors: Mirrors;
  /** A PEM file; relative to the build's working directory. */
  readonly caBundle: string | undefined;
  readonly builderVersion: string | undefined;
  /** Where images are published under names. */
  readonly images: ImagePlace;
  /** Where what only saves time is kept. */
  readonly cacheDir: string;
  /** The way to the registries that outputs are in. */
  readonly registries: RegistryAccess;
  /** Certificates of the daemon's address. */
  readonly tls: TlsOptions | undefined;
}

/** What a build takes from this machine, found before any daemon is asked. */
export interface Gathered {
  readonly needs: Needs;
  readonly found: FoundFiles;
  readonly inputs: LocalInputs;
  readonly secrets: GatheredSecrets;
  readonly caBundles: GatheredCaBundles;
  readonly force: ForceFact | undefined;
  readonly sourceDateEpoch: number | undefined;
  readonly builderVersion: string | undefined;
  /** Absolute. */
  readonly cwd: string;
  /** The name that the result gets. */
  readonly publish: string | undefined;
  /** The solve's settings, with what the chain adds to them. */
  readonly settings: SolveSettings;
}

/**
 * Finds everything of a chain that is on this machine: files, trees, layouts, secrets, certificates.
 *
 * Rejects with the errors of those who look, each with the place of the chain's call.
 */
export async function gather(image: Chain, options: BuildOptions, engine: EngineSettings): Promise<Gathered> {
  const { env, mirrors } = engine;
  const {
    platform: _platform,
    cwd: where,
    builderVersion = engine.builderVersion,
    caBundle = engine.caBundle,
    forceBuild,
    ignoreCache,
    publish,
    name: _name,
    ...told
  } = options;
  const cwd = resolve(where ?? ".");
  const sourceDateEpoch = checkEpoch(options.sourceDateEpoch ?? env["SOURCE_DATE_EPOCH"]);
  const files = await gatherFiles((found) => needsOf(image, { builderVersion, found }), cwd);
  const { found } = files;
  const needs = await withPublished(files.needs, engine.images);
  const inputs = await gatherInputs(needs, { cwd, files: found.files, mirrors });
  const caBundles = await gatherCaBundles(needs, caBundle, cwd);
  const secrets = await gatherSecrets(needs.secrets, {
    cwd,
    env,
    providers: engine.secretProviders,
    signal: options.signal,
  });
  const paths = resolvePaths(told, cwd);
  return {
    needs,
    found,
    inputs,
    secrets,
    caBundles,
    sourceDateEpoch,
    builderVersion,
    cwd,
    publish,
    force: forceFact({ forceBuild, ignoreCache }, env),
    settings: {
      ...paths,
      secrets: { ...paths.secrets, ...secrets.sources, ...caBundles.sources },
      credentials: baseCredentials(needs, {
        registries: secrets.registries,
        env,
        others: paths.credentials,
        signal: options.signal,
      }),
      sourceDateEpoch,
      trees: inputs.trees,
      layouts: new Map(
        [...inputs.layouts.values(), ...inputs.mirrorLayouts].map(({ store, layout }) => [store, layout.dir]),
      ),
    },
  };
}

/** The same with the bases that are only found once the platform is known. */
export async function withRootfs(
  gathered: Gathered,
  { platform, cacheDir }: { readonly platform: Platform; readonly cacheDir: string },
): Promise<Gathered> {
  const { needs, cwd, inputs, settings } = gathered;
  const made = await gatherRootfs(needs, { cwd, cacheDir, platform, signal: settings.signal });
  if (made.size === 0) return gathered;
  const stores = [...made.values()].map(({ store, layout }) => [store, layout.dir] as const);
  return {
    ...gathered,
    inputs: { ...inputs, layouts: new Map([...inputs.layouts, ...made]) },
    settings: { ...settings, layouts: new Map([...(settings.layouts ?? []), ...stores]) },
  };
}

/** Needs whose published bases are what they stand for: images of a registry or of a layout. */
async function withPublished(needs: Needs, place: ImagePlace): Promise<Needs> {
  const bases = await Promise.all(
    needs.bases.map(async (need): Promise<BaseNeed> => {
      if (need.kind !== "stored") return need;
      const { id, location } = need;
      const found = await findPublished(need, place);
      return found.kind === "registry"
        ? { kind: "registry", id, location, ref: found.ref }
        : { kind: "oci-layout", id, location, path: found.dir, ref: found.digest };
    }),
  );
  return { ...needs, bases };
}

function checkEpoch(value: number | string | undefined): number | undefined {
  if (value === undefined || value === "") return undefined;
  const seconds = Number(value);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= 253_402_300_799) return seconds;
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `SOURCE_DATE_EPOCH must be seconds since 1970, got "${value}"`,
    { hint: "E.g. SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)." },
  );
}
