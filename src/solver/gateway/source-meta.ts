import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  ChecksumRequest_ChecksumAlgo as ChecksumAlgo,
  type ResolveSourceMetaRequestSchema,
  type ResolveSourceMetaResponse,
} from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { checkChoice, checkFlag, checkName, checkTexts, wrongArgument } from "../../llb/check-argument.js";
import { type HasStateProps, isState, stateProps } from "../../llb/state-props.js";
import type { Platform } from "../../oci/platform.js";
import { platformToPb } from "../platform-pb.js";
import type { AbortOptions } from "./ref.js";

/** A source as LLB names it. */
export interface SourceId {
  /** E.g. `docker-image://docker.io/library/alpine:3.20`, `git://…`, `https://…`. */
  readonly identifier: string;
  readonly attrs?: Readonly<Record<string, string>> | undefined;
}

/** Options of `Gateway.resolveSourceMeta`. */
export interface SourceMetaOptions extends AbortOptions {
  /** Of an image; default the daemon's. */
  readonly platform?: Platform | undefined;
  /** `default` takes what the daemon has, `pull` asks the registry, `local` never does. */
  readonly resolveMode?: "default" | "pull" | "local" | undefined;
  /** Name of the step in the progress. */
  readonly logName?: string | undefined;
  /** What to find out about an image. */
  readonly image?:
    | {
        /** Leaves out the config. */
        readonly noConfig?: boolean | undefined;
        /** Also resolves the signed attestation manifests. Needs BuildKit 0.28. */
        readonly attestationChain?: boolean | undefined;
        /** Predicate types of attestations whose blobs are wanted. Needs BuildKit 0.28. */
        readonly resolveAttestations?: readonly string[] | undefined;
      }
    | undefined;
  /** What to find out about a repository. */
  readonly git?: { readonly returnObject?: boolean | undefined } | undefined;
  /** What to find out about a file. */
  readonly http?:
    | {
        /** A digest over the file and `suffix`. Needs BuildKit 0.28. */
        readonly checksum?:
          | {
              readonly algorithm: "sha256" | "sha384" | "sha512";
              readonly suffix?: Uint8Array | undefined;
            }
          | undefined;
      }
    | undefined;
}

/** A blob with its descriptor. */
export interface SourceBlob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: bigint;
  readonly annotations: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** What is known of a source without fetching its content. */
export interface SourceMeta {
  /** The source after the daemon's and the build's policies. */
  readonly source: Required<SourceId>;
  /** For images. */
  readonly image:
    | {
        /** Of the manifest or index. */
        readonly digest: string;
        /** The config's JSON, as bytes. */
        readonly config: Uint8Array;
        readonly attestationChain:
          | {
              readonly root: string;
              readonly imageManifest: string;
              readonly attestationManifest: string;
              readonly signatureManifests: readonly string[];
              /** By digest. */
              readonly blobs: ReadonlyMap<string, SourceBlob>;
            }
          | undefined;
      }
    | undefined;
  /** For repositories; known from BuildKit 0.26 on. */
  readonly git:
    | {
        /** The commit, or the annotated tag. */
        readonly checksum: string;
        readonly ref: string;
        readonly commitChecksum: string;
        readonly commitObject: Uint8Array;
        readonly tagObject: Uint8Array;
      }
    | undefined;
  /** For files; known from BuildKit 0.26 on. */
  readonly http:
    | {
        readonly digest: string;
        readonly filename: string;
        readonly lastModified: Date | undefined;
        readonly checksum: { readonly digest: string; readonly suffix: Uint8Array } | undefined;
      }
    | undefined;
}

/** The source that a state is, or that is named. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function sourceIdOf(call: string, source: HasStateProps | SourceId): Required<SourceId> {
  if (isState(source)) {
    const vertex = source[stateProps].output?.vertex;
    if (vertex?.kind === "source") return { identifier: vertex.identifier, attrs: vertex.attrs };
    throw wrongArgument(
      call,
      "the state is no source",
      "Pass image(…), git(…) or http(…), without anything built on it.",
    );
  }
  checkOptions(call, source, ["identifier", "attrs"]);
  return { identifier: checkName(call, "identifier", source.identifier), attrs: source.attrs ?? {} };
}

/** Whether the answer needs a capability beside that of resolving sources: its id. */
export function neededCap(options: SourceMetaOptions): string | undefined {
  const { image, http } = options;
  if (image?.attestationChain === true || (image?.resolveAttestations?.length ?? 0) > 0) {
    return "source.metaresolver.image.attestations";
  }
  return http?.checksum === undefined ? undefined : "source.metaresolver.http.checksumrequest";
}

/** The daemon's request for checked options. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function sourceMetaRequest(
  call: string,
  source: Required<SourceId>,
  options: SourceMetaOptions,
): MessageInitShape<typeof ResolveSourceMetaRequestSchema> {
  checkOptions(call, options, ["platform", "resolveMode", "logName", "image", "git", "http", "signal"]);
  const { platform, image = {}, git = {}, http = {} } = options;
  checkOptions(`${call} image`, image, ["noConfig", "attestationChain", "resolveAttestations"]);
  checkOptions(`${call} git`, git, ["returnObject"]);
  checkOptions(`${call} http`, http, ["checksum"]);
  const resolveAttestations = checkTexts(call, "image.resolveAttestations", image.resolveAttestations ?? []);
  return {
    Source: { identifier: source.identifier, attrs: { ...source.attrs } },
    ...(platform === undefined ? {} : { Platform: platformToPb(platform) }),
    LogName:
      options.logName === undefined
        ? `resolve ${source.identifier}`
        : checkName(call, "logName", options.logName),
    ResolveMode: checkChoice(call, "resolveMode", options.resolveMode ?? "default", [
      ...(["default", "pull", "local"] as const),
    ]),
    Image: {
      NoConfig: checkFlag(call, "image.noConfig", image.noConfig),
      AttestationChain:
        checkFlag(call, "image.attestationChain", image.attestationChain) || resolveAttestations.length > 0,
      ResolveAttestations: [...resolveAttestations],
    },
    Git: { ReturnObject: checkFlag(call, "git.returnObject", git.returnObject) },
    ...(http.checksum === undefined
      ? {}
      : { HTTP: { ChecksumRequest: checksumRequest(call, http.checksum) } }),
  };
}

function checksumRequest(
  call: string,
  checksum: NonNullable<NonNullable<SourceMetaOptions["http"]>["checksum"]>,
) {
  checkOptions(`${call} http.checksum`, checksum, ["algorithm", "suffix"]);
  const algorithms = ["sha256", "sha384", "sha512"] as const;
  const algorithm = checkChoice(call, "http.checksum.algorithm", checksum.algorithm, algorithms);
  const numbers = { sha256: ChecksumAlgo.SHA256, sha384: ChecksumAlgo.SHA384, sha512: ChecksumAlgo.SHA512 };
  return { Algo: numbers[algorithm], Suffix: checksum.suffix ?? new Uint8Array() };
}

/** The daemon's answer as plain data. */
export function sourceMetaFrom(source: Required<SourceId>, response: ResolveSourceMetaResponse): SourceMeta {
  const { Source, Image, Git, HTTP } = response;
  const chain = Image?.AttestationChain;
  return {
    source: { identifier: Source?.identifier ?? source.identifier, attrs: Source?.attrs ?? source.attrs },
    image:
      Image === undefined
        ? undefined
        : {
            digest: Image.Digest,
            config: Image.Config,
            attestationChain:
              chain === undefined
                ? undefined
                : {
                    root: chain.Root,
                    imageManifest: chain.ImageManifest,
                    attestationManifest: chain.AttestationManifest,
                    signatureManifests: chain.SignatureManifests,
                    blobs: new Map(
                      Object.entries(chain.Blobs).map(([digest, { descriptor, data }]) => [
                        digest,
                        {
                          mediaType: descriptor?.mediaType ?? "",
                          digest: descriptor?.digest ?? digest,
                          size: descriptor?.size ?? 0n,
                          annotations: descriptor?.annotations ?? {},
                          data,
                        },
                      ]),
                    ),
                  },
          },
    git:
      Git === undefined
        ? undefined
        : {
            checksum: Git.Checksum,
            ref: Git.Ref,
            commitChecksum: Git.CommitChecksum,
            commitObject: Git.CommitObject,
            tagObject: Git.TagObject,
          },
    http:
      HTTP === undefined
        ? undefined
        : {
            digest: HTTP.Checksum,
            filename: HTTP.Filename,
            lastModified:
              HTTP.LastModified === undefined ? undefined : new Date(timestampMs(HTTP.LastModified)),
            checksum:
              HTTP.ChecksumResponse === undefined
                ? undefined
                : { digest: HTTP.ChecksumResponse.Digest, suffix: HTTP.ChecksumResponse.Suffix },
          },
  };
}
