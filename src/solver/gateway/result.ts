import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AttestationKind,
  InTotoSubjectKind,
  type Result as PbResult,
  type ResultSchema,
} from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { checkOptions } from "../../internal/check-options.js";
import { checkText, wrongArgument } from "../../llb/check-argument.js";
import type { ImageConfig } from "../../oci/image-config.js";
import { formatPlatform, type Platform } from "../../oci/platform.js";
import type { Bridge } from "./bridge.js";
import { Ref } from "./ref.js";

/** What an in-toto statement is about. */
export interface AttestationSubject {
  /** `self` = the image that is exported, `raw` = what `digests` name. */
  readonly kind: "self" | "raw";
  readonly name: string;
  readonly digests: readonly string[];
}

/** An attestation that goes with a platform's image. */
export interface Attestation {
  /** `in-toto` = one statement's predicate in a file; `bundle` = a directory of statements. */
  readonly kind: "in-toto" | "bundle";
  /** The filesystem that holds it. */
  readonly ref: Ref;
  /** Where it is in `ref`. */
  readonly path: string;
  /** Type of the predicate: a URI. */
  readonly predicateType?: string | undefined;
  readonly subjects?: readonly AttestationSubject[] | undefined;
  /** BuildKit's own keys, e.g. `reason`. */
  readonly metadata?: ReadonlyMap<string, Uint8Array> | undefined;
}

/** What a gateway solve results in. */
export interface GatewayResult {
  /** The only filesystem; `undefined` = empty, or there are several. */
  readonly ref: Ref | undefined;
  /** Filesystems by key, mostly a platform such as `linux/amd64`; `undefined` = an empty one. */
  readonly refs: ReadonlyMap<string, Ref | undefined>;
  /** E.g. `containerimage.config`, JSON as bytes. */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** By the keys of `refs`. */
  readonly attestations: ReadonlyMap<string, readonly Attestation[]>;
}

/** What a build function may return: what is to be exported. */
export interface GatewayReturn {
  /** The only filesystem; `undefined` = an empty one, unless there are `refs`. */
  readonly ref?: Ref | undefined;
  /** Filesystems by key; the metadata `refs.platforms` must describe them. See {@link multiPlatform}. */
  readonly refs?: ReadonlyMap<string, Ref | undefined> | undefined;
  /** Keys that the exporters know; texts are sent as UTF-8. */
  readonly metadata?: ReadonlyMap<string, Uint8Array | string> | undefined;
  readonly attestations?: ReadonlyMap<string, readonly Attestation[]> | undefined;
}

/** One platform of {@link multiPlatform}. */
export interface PlatformResult {
  readonly platform: Platform;
  /** `undefined` = an empty filesystem. */
  readonly ref: Ref | undefined;
  /** The image's config for this platform. */
  readonly config?: ImageConfig | undefined;
  /** The base image's config, from which layers and times are kept when times are rewritten. */
  readonly baseConfig?: ImageConfig | undefined;
  readonly attestations?: readonly Attestation[] | undefined;
}

/**
 * The result of a build for several platforms, in the order in which an image index lists them.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for no platform or one that is there twice.
 */
export function multiPlatform(platforms: readonly PlatformResult[]): GatewayReturn {
  const call = "multiPlatform()";
  if (!Array.isArray(platforms) || platforms.length === 0) {
    throw wrongArgument(call, "there is no platform", "Pass at least one platform with its ref.");
  }
  const refs = new Map<string, Ref | undefined>();
  const metadata = new Map<string, string>();
  const attestations = new Map<string, readonly Attestation[]>();
  const list: { readonly ID: string; readonly Platform: unknown }[] = [];
  for (const one of platforms) {
    checkOptions(call, one, ["platform", "ref", "config", "baseConfig", "attestations"]);
    const { os, architecture, variant, osVersion, osFeatures } = one.platform;
    const id = formatPlatform(one.platform);
    if (refs.has(id)) throw wrongArgument(call, `${id} is there twice`, "Pass each platform once.");
    refs.set(id, one.ref);
    list.push({
      ID: id,
      Platform: {
        architecture,
        os,
        ...(osVersion === undefined ? {} : { "os.version": osVersion }),
        ...(osFeatures === undefined ? {} : { "os.features": osFeatures }),
        ...(variant === undefined ? {} : { variant }),
      },
    });
    if (one.config !== undefined) metadata.set(`containerimage.config/${id}`, JSON.stringify(one.config));
    if (one.baseConfig !== undefined) {
      metadata.set(`containerimage.base.config/${id}`, JSON.stringify(one.baseConfig));
    }
    if (one.attestations !== undefined) attestations.set(id, one.attestations);
  }
  metadata.set("refs.platforms", JSON.stringify({ Platforms: list }));
  return { refs, metadata, attestations };
}

/** The result of a gateway solve from the daemon's message. */
export function resultFromPb(bridge: Bridge, result: PbResult | undefined): GatewayResult {
  const refOf = (ref: { readonly id: string } | undefined): Ref | undefined =>
    ref === undefined || ref.id === ""
      ? undefined
      : new Ref(bridge, ref as ConstructorParameters<typeof Ref>[1]);
  const held = result?.result;
  return {
    ref: held?.case === "ref" ? refOf(held.value) : undefined,
    refs: new Map(
      held?.case === "refs" ? Object.entries(held.value.refs).map(([key, ref]) => [key, refOf(ref)]) : [],
    ),
    metadata: new Map(Object.entries(result?.metadata ?? {})),
    attestations: new Map(
      Object.entries(result?.attestations ?? {}).map(([key, { attestation }]) => [
        key,
        attestation.flatMap((one): readonly Attestation[] => {
          const ref = refOf(one.ref);
          if (ref === undefined) return [];
          return [
            {
              kind: one.kind === AttestationKind.Bundle ? "bundle" : "in-toto",
              ref,
              path: one.path,
              predicateType: one.inTotoPredicateType,
              subjects: one.inTotoSubjects.map(({ kind, name, digest }) => ({
                kind: kind === InTotoSubjectKind.Raw ? "raw" : "self",
                name,
                digests: digest,
              })),
              metadata: new Map(Object.entries(one.metadata)),
            },
          ];
        }),
      ]),
    ),
  };
}

/** What a build function returned, as the daemon's message. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function resultToPb(result: GatewayReturn | undefined): MessageInitShape<typeof ResultSchema> {
  const call = "the build function's result";
  if (result === undefined) return {};
  checkOptions(call, result, ["ref", "refs", "metadata", "attestations"]);
  const { ref, refs = new Map(), metadata = new Map(), attestations = new Map() } = result;
  if (ref !== undefined && refs.size > 0) {
    throw wrongArgument(call, "it has both ref and refs", "Return one filesystem, or several by platform.");
  }
  return {
    ...(refs.size > 0
      ? {
          result: {
            case: "refs",
            value: { refs: Object.fromEntries([...refs].map(([key, one]) => [key, refToPb(call, one)])) },
          },
        }
      : { result: { case: "ref", value: refToPb(call, ref) } }),
    metadata: Object.fromEntries(
      [...metadata].map(([key, value]) => [
        checkText(call, "a key of metadata", key),
        typeof value === "string" ? new TextEncoder().encode(value) : value,
      ]),
    ),
    attestations: Object.fromEntries(
      [...attestations].map(([key, list]) => [key, { attestation: list.map(attestationToPb) }]),
    ),
  };
}

function refToPb(call: string, ref: unknown): { readonly id: string } {
  if (ref === undefined) return { id: "" };
  if (ref instanceof Ref) return { id: ref.id };
  throw wrongArgument(
    call,
    "a filesystem in it is no Ref",
    "Return the ref of a gateway.solve() of this build, or its whole result.",
  );
}

function attestationToPb(attestation: Attestation) {
  const { kind, ref, path, predicateType = "", subjects = [], metadata = new Map() } = attestation;
  return {
    kind: kind === "bundle" ? AttestationKind.Bundle : AttestationKind.InToto,
    ref: { id: ref.id },
    path,
    inTotoPredicateType: predicateType,
    inTotoSubjects: subjects.map((subject) => ({
      kind: subject.kind === "raw" ? InTotoSubjectKind.Raw : InTotoSubjectKind.Self,
      name: subject.name,
      digest: [...subject.digests],
    })),
    metadata: Object.fromEntries(metadata),
  };
}
