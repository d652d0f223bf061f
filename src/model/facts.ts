import type { Definition } from "../llb/definition.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import type { SecretVariable } from "./secret.js";
import type { TreeWay } from "./tree-way.js";

/** A base image as the chosen daemon (or the layout on disk) resolved it. */
export type BaseFact = RegistryBaseFact | LayoutBaseFact;

/** A registry base pinned to a digest. */
export interface RegistryBaseFact {
  readonly kind: "registry";
  /** Reference with digest, e.g. `docker.io/library/debian:bookworm@sha256:…`. */
  readonly ref: string;
  readonly digest: string;
  readonly config: ImageConfig;
}

/** A base read from an OCI layout. */
export interface LayoutBaseFact {
  readonly kind: "oci-layout";
  /** Content store id under which the session serves the layout. */
  readonly store: string;
  /** Digest of the manifest or index in the layout. */
  readonly digest: string;
  readonly config: ImageConfig;
}

/** A local tree as the engine found it: that it exists, and under which name the session will serve it. */
export interface TreeFact {
  /** `local://` name. */
  readonly name: string;
  /** Path-unique key under which the daemon keeps its copy. */
  readonly sharedKeyHint: string;
}

/** What a frontend made of a chain so far. */
export interface FrontendFact {
  /** `undefined` = an empty result. */
  readonly definition: Definition | undefined;
  readonly config: ImageConfig;
}

/**
 * How much of a chain runs again whatever is cached: `replace` = all of it, and later builds get its results;
 * `apart` = all of it, while later builds still get what was cached before, as `nonce` names this build alone.
 */
export type ForceFact = { readonly kind: "replace" } | { readonly kind: "apart"; readonly nonce: string };

/** What compiling a chain needs from outside; gathered by the engine, keyed by the ids in `Needs`. */
export interface Facts {
  readonly platform: Platform;
  /** Which semantics the built-in steps have. */
  readonly builderVersion: string;
  readonly bases: ReadonlyMap<string, BaseFact>;
  readonly trees: ReadonlyMap<string, TreeFact>;
  /** Contents of small files; one that is optional and not there has no entry. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Paths found, sorted, relative to the directory that was listed. */
  readonly listings: ReadonlyMap<string, readonly string[]>;
  /** The variables of secrets. */
  readonly secrets: ReadonlyMap<string, readonly SecretVariable[]>;
  /** What frontends answered, asked for by `compile` with a `FrontendQuestion`. */
  readonly frontends: ReadonlyMap<string, FrontendFact>;
  /**
   * How copied trees come to the daemon, by copy; one that is missing is asked for with a `LayersQuestion`. Default: all
   * are `local`.
   */
  readonly ways?: ReadonlyMap<string, TreeWay> | undefined;
  /** Default: only what is forced by its own step. */
  readonly force?: ForceFact | undefined;
  /** Session's ids of certificates that commands trust: of the whole build, and of steps by need id. */
  readonly caBundle?: string | undefined;
  readonly caBundles: ReadonlyMap<string, string>;
  /** Seconds since 1970 for every copied file; `undefined` = 1980-01-01T00:00:02Z. */
  readonly sourceDateEpoch: number | undefined;
  /** Value of `local.unique`: keeps this build's local sources apart from those of any other session. */
  readonly localUniqueId: string;
}
