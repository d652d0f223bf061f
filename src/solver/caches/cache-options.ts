import { checkOptions } from "../../internal/check-options.js";
import {
  checkChoice,
  checkFlag,
  checkInteger,
  checkName,
  checkTexts,
  wrongArgument,
} from "../../llb/check-argument.js";
import { isDigest } from "../../oci/digest.js";
import type { Compression } from "../outputs.js";

/** What every exported cache takes. */
export interface CacheExportCommon {
  /** `min` = layers of the result alone (default), `max` = those of all steps. */
  readonly mode?: "min" | "max" | undefined;
  /** Lets the build succeed where the cache cannot be written; the failure is then reported with the result. */
  readonly ignoreError?: boolean | undefined;
  readonly compression?: Compression | undefined;
  /** gzip and estargz 0–9, zstd 0–22. */
  readonly compressionLevel?: number | undefined;
  /** Recompresses layers that exist already. Default false. */
  readonly forceCompression?: boolean | undefined;
  /** OCI media types instead of Docker's. Default true. */
  readonly ociMediaTypes?: boolean | undefined;
  /** An image manifest instead of an index, which some registries refuse. Default the daemon's: true from 0.21 on. */
  readonly imageManifest?: boolean | undefined;
}

/** A cache in a registry. */
export interface RegistryCache {
  readonly type: "registry";
  /** E.g. `registry.example.com/app:cache`. */
  readonly ref: string;
  /** Plain HTTP, or certificates unchecked. Default false. */
  readonly insecure?: boolean | undefined;
}

/** A cache in an OCI layout directory of this machine. */
export interface LocalCache {
  readonly type: "local";
  readonly dir: string;
  /** Its name in the directory's index. Default `latest`. */
  readonly tag?: string | undefined;
}

/** A cache in GitHub's Actions cache. What is left out comes from the environment of a job, if this is one. */
export interface GhaCache {
  readonly type: "gha";
  readonly url?: string | undefined;
  /** Version 2 of the service. Needs BuildKit 0.20. */
  readonly urlV2?: string | undefined;
  /** `1` or `2`. Default the daemon's choice. */
  readonly version?: string | undefined;
  readonly token?: string | undefined;
  /** Default `buildkit`. */
  readonly scope?: string | undefined;
  /** Of the import. Default ten minutes. */
  readonly timeoutMs?: number | undefined;
  /** `owner/name`, to ask GitHub's API for existing entries. Needs {@link GhaCache.ghToken} and BuildKit 0.14. */
  readonly repository?: string | undefined;
  readonly ghToken?: string | undefined;
}

/** A cache in an S3 bucket. Bucket and region may come from the daemon's environment. */
export interface S3Cache {
  readonly type: "s3";
  readonly bucket?: string | undefined;
  readonly region?: string | undefined;
  readonly prefix?: string | undefined;
  readonly manifestsPrefix?: string | undefined;
  readonly blobsPrefix?: string | undefined;
  /** Names of the cache. Default `buildkit`. */
  readonly names?: readonly string[] | undefined;
  readonly endpointUrl?: string | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  readonly usePathStyle?: boolean | undefined;
  /** Age from which what is used again is touched. Default a day. */
  readonly touchRefreshMs?: number | undefined;
  /** Needs BuildKit 0.16. */
  readonly uploadParallelism?: number | undefined;
}

/** A cache in an Azure blob container. */
export interface AzblobCache {
  readonly type: "azblob";
  readonly accountUrl?: string | undefined;
  readonly accountName?: string | undefined;
  readonly container?: string | undefined;
  readonly prefix?: string | undefined;
  readonly manifestsPrefix?: string | undefined;
  readonly blobsPrefix?: string | undefined;
  readonly names?: readonly string[] | undefined;
  readonly secretAccessKey?: string | undefined;
}

/** A cache inside the image that is exported: import it as a `registry` cache of that image. Mode `min` alone. */
export interface InlineCache {
  readonly type: "inline";
}

/** Where a build may write its cache. */
export type CacheExport =
  | InlineCache
  | (CacheExportCommon & (RegistryCache | GhaCache | S3Cache | AzblobCache))
  | (CacheExportCommon &
      LocalCache & {
        /** Deletes what the directory's index does not refer to after the export. Default false. */
        readonly reset?: boolean | undefined;
      });

/** Where a build may take results from. */
export type CacheImport =
  | RegistryCache
  | GhaCache
  | S3Cache
  | AzblobCache
  | (LocalCache & {
      /** The cache's manifest. Default: what the directory's index has under the tag. */
      readonly digest?: string | undefined;
    });

/** Caches of a solve. */
export interface CacheOptions {
  readonly cacheExports?: readonly CacheExport[] | undefined;
  readonly cacheImports?: readonly CacheImport[] | undefined;
}

type Kind = "text" | "flag" | "milliseconds" | "count" | "names" | "level";

/** BuildKit's attribute and the kind of value of each option. */
export type Attributes = Readonly<Record<string, readonly [attr: string, kind: Kind]>>;

const common: Attributes = {
  ignoreError: ["ignore-error", "flag"],
  compression: ["compression", "text"],
  compressionLevel: ["compression-level", "level"],
  forceCompression: ["force-compression", "flag"],
  ociMediaTypes: ["oci-mediatypes", "flag"],
  imageManifest: ["image-manifest", "flag"],
};

const byType: Readonly<Record<CacheExport["type"], Attributes>> = {
  inline: {},
  registry: { ref: ["ref", "text"], insecure: ["registry.insecure", "flag"] },
  // Directories stay on this machine: the daemon hears ids.
  local: {},
  gha: {
    url: ["url", "text"],
    urlV2: ["url_v2", "text"],
    version: ["version", "text"],
    token: ["token", "text"],
    scope: ["scope", "text"],
    timeoutMs: ["timeout", "milliseconds"],
    repository: ["repository", "text"],
    ghToken: ["ghtoken", "text"],
  },
  s3: {
    bucket: ["bucket", "text"],
    region: ["region", "text"],
    prefix: ["prefix", "text"],
    manifestsPrefix: ["manifests_prefix", "text"],
    blobsPrefix: ["blobs_prefix", "text"],
    names: ["name", "names"],
    endpointUrl: ["endpoint_url", "text"],
    accessKeyId: ["access_key_id", "text"],
    secretAccessKey: ["secret_access_key", "text"],
    sessionToken: ["session_token", "text"],
    usePathStyle: ["use_path_style", "flag"],
    touchRefreshMs: ["touch_refresh", "milliseconds"],
    uploadParallelism: ["upload_parallelism", "count"],
  },
  azblob: {
    accountUrl: ["account_url", "text"],
    accountName: ["account_name", "text"],
    container: ["container", "text"],
    prefix: ["prefix", "text"],
    manifestsPrefix: ["manifests_prefix", "text"],
    blobsPrefix: ["blobs_prefix", "text"],
    names: ["name", "names"],
    secretAccessKey: ["secret_access_key", "text"],
  },
};

const localKeys: Readonly<Record<"export" | "import", readonly string[]>> = {
  export: ["dir", "tag", "reset"],
  import: ["dir", "tag", "digest"],
};

/** The types of caches that can be exported or imported. */
export function cacheTypes(direction: "export" | "import"): readonly CacheExport["type"][] {
  const types: readonly CacheExport["type"][] = ["registry", "local", "gha", "s3", "azblob"];
  return direction === "export" ? [...types, "inline"] : types;
}

/** A type's options that become attributes: BuildKit's attribute and the kind of value, by option. */
export function cacheAttributes(direction: "export" | "import", type: CacheExport["type"]): Attributes {
  return direction === "export" && type !== "inline" ? { ...byType[type], ...common } : byType[type];
}

/** First BuildKit version of cache options that not every supported daemon has. */
export const cacheOptionVersions: Readonly<Record<string, string>> = {
  "gha.urlV2": "0.20",
  "gha.repository": "0.14",
  "gha.ghToken": "0.14",
  "s3.uploadParallelism": "0.16",
};

/** Checks caches without touching anything. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function checkCaches({ cacheExports = [], cacheImports = [] }: CacheOptions): void {
  for (const [index, cache] of cacheExports.entries()) cacheAttrs("export", index, cache);
  for (const [index, cache] of cacheImports.entries()) cacheAttrs("import", index, cache);
}

/**
 * A cache's attributes as the daemon takes them, those of a local cache's directory left out.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`, naming the option, never its value.
 */
export function cacheAttrs(
  direction: "export" | "import",
  index: number,
  cache: CacheExport | CacheImport,
): Record<string, string> {
  const call = `${direction === "export" ? "cacheExports" : "cacheImports"}[${index}]`;
  const type = checkChoice(call, "type", cache.type, cacheTypes(direction));
  const own = byType[type];
  const withCommon = direction === "export" && type !== "inline";
  checkOptions(call, cache, [
    ...["type", ...Object.keys(own)],
    ...(type === "local" ? localKeys[direction] : []),
    ...(withCommon ? ["mode", ...Object.keys(common)] : []),
  ]);
  const values: Readonly<Record<string, unknown>> = { ...cache };
  const attrs: Record<string, string> = {};
  for (const [key, [attr, kind]] of Object.entries(cacheAttributes(direction, type))) {
    if (values[key] !== undefined) attrs[attr] = attrOf(call, key, values[key], kind);
  }
  if (withCommon && values["mode"] !== undefined) {
    attrs["mode"] = checkChoice(call, "mode", values["mode"], ["min", "max"]);
  }
  checkRequired(call, values, type);
  return attrs;
}

function attrOf(call: string, key: string, value: unknown, kind: Kind): string {
  switch (kind) {
    case "text":
      return key === "compression"
        ? checkChoice(call, key, value, ["gzip", "zstd", "estargz", "uncompressed"])
        : checkName(call, key, value);
    case "flag":
      return String(checkFlag(call, key, value));
    case "milliseconds":
      return `${checkInteger(call, key, value, 1, Number.MAX_SAFE_INTEGER)}ms`;
    case "count":
      return String(checkInteger(call, key, value, 1, 1024));
    case "level":
      return String(checkInteger(call, key, value, 0, 22));
    case "names":
      // BuildKit's list has semicolons between the names.
      return checkTexts(call, key, value).join(";");
    default:
      return kind satisfies never;
  }
}

function checkRequired(call: string, values: Readonly<Record<string, unknown>>, type: string): void {
  if (type === "registry") checkName(call, "ref", values["ref"]);
  if (type === "local") {
    checkName(call, "dir", values["dir"]);
    if (values["tag"] !== undefined) checkName(call, "tag", values["tag"]);
    checkFlag(call, "reset", values["reset"]);
    const { digest } = values;
    if (digest !== undefined && !(typeof digest === "string" && isDigest(digest))) {
      throw wrongArgument(call, "digest is none", "Write it as sha256: and 64 hexadecimal digits.");
    }
  }
  if (type === "gha" && values["repository"] !== undefined && values["ghToken"] === undefined) {
    throw wrongArgument(
      call,
      "repository needs ghToken",
      "Pass a token that may read the repository's caches.",
    );
  }
}
