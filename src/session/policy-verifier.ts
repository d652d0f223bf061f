import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { ResolveSourceMetaResponse } from "../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { PolicyAction } from "../gen/moby/buildkit/v1/sourcepolicy/policy_pb.js";
import {
  type CheckPolicyResponseSchema,
  PolicyVerifier,
} from "../gen/moby/buildkit/v1/sourcepolicy/policysession/policysession_pb.js";
import type { Platform as PbPlatform } from "../gen/pb/ops_pb.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryService } from "./grpc/unary-service.js";

/** A source that the daemon asks about. */
export interface CheckedSource {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** `os/architecture[/variant]` of the op; `undefined` if it has none. */
  readonly platform: string | undefined;
  /** Digest of an image; known after `resolve`. */
  readonly imageDigest: string | undefined;
  /** Config of an image as JSON bytes; known after `resolve`. */
  readonly imageConfig: Uint8Array | undefined;
  /** Commit of a repository; known after `resolve`. */
  readonly gitChecksum: string | undefined;
  /** Digest of a file; known after `resolve`. */
  readonly httpChecksum: string | undefined;
}

/**
 * What is decided about a source: it may be used, may not (with reasons for the user), is replaced by another one, or is
 * to be resolved first and asked about again, ten times at most.
 */
export type SourceDecision =
  | { readonly action: "allow" }
  | { readonly action: "deny"; readonly messages?: readonly string[] | undefined }
  | {
      readonly action: "convert";
      readonly identifier: string;
      readonly attrs?: Readonly<Record<string, string>> | undefined;
    }
  | { readonly action: "resolve" };

/** Decides about a source. A verifier that throws fails the build with its message. */
export type SourceVerifier = (source: CheckedSource) => SourceDecision | Promise<SourceDecision>;

/** Lets the client decide about each source of a build as it comes up. Since BuildKit 0.26, for solves that ask for it. */
export function policyVerifierService(
  verify: SourceVerifier,
  options: { readonly onProblem?: ((error: unknown) => void) | undefined } = {},
): Attachable {
  return unaryService(PolicyVerifier, {
    async checkPolicy({ Source, Platform }) {
      try {
        return answer(await verify(checkedSource(Source, Platform)), Source, Platform);
      } catch (error) {
        options.onProblem?.(error);
        throw new ServiceRefusal(status.INTERNAL, error instanceof Error ? error.message : String(error));
      }
    },
  });
}

function checkedSource(
  source: ResolveSourceMetaResponse | undefined,
  platform: PbPlatform | undefined,
): CheckedSource {
  return {
    identifier: source?.Source?.identifier ?? "",
    attrs: source?.Source?.attrs ?? {},
    platform:
      platform === undefined
        ? undefined
        : [platform.OS, platform.Architecture, platform.Variant].filter((part) => part !== "").join("/"),
    imageDigest: source?.Image?.Digest,
    imageConfig: source?.Image?.Config,
    gitChecksum: source?.Git?.Checksum,
    httpChecksum: source?.HTTP?.Checksum,
  };
}

function answer(
  decision: SourceDecision,
  source: ResolveSourceMetaResponse | undefined,
  platform: PbPlatform | undefined,
): MessageInitShape<typeof CheckPolicyResponseSchema> {
  switch (decision.action) {
    case "allow":
      return { result: { case: "decision", value: { action: PolicyAction.ALLOW } } };
    case "deny": {
      const denyMessages = (decision.messages ?? []).map((message) => ({ message }));
      return { result: { case: "decision", value: { action: PolicyAction.DENY, denyMessages } } };
    }
    case "convert": {
      const update = { identifier: decision.identifier, attrs: { ...decision.attrs } };
      return { result: { case: "decision", value: { action: PolicyAction.CONVERT, update } } };
    }
    case "resolve": {
      const { identifier = "", attrs = {} } = source?.Source ?? {};
      return {
        result: {
          case: "request",
          value: {
            Source: { identifier, attrs: { ...attrs } },
            ...(platform === undefined ? {} : { Platform: platform }),
          },
        },
      };
    }
    default:
      return decision satisfies never;
  }
}
