import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";

/** A range in a source file, 1-based lines. */
export interface SourceRange {
  readonly startLine: number;
  readonly startCharacter: number;
  readonly endLine: number;
  readonly endCharacter: number;
}

/** The op that failed. */
export interface VertexDetail {
  readonly kind: "vertex";
  readonly digest: string;
}

/** A place in the sources that the definition came with. */
export interface SourceDetail {
  readonly kind: "source";
  readonly filename: string;
  /** The whole file; empty if it was not sent. */
  readonly text: string;
  readonly ranges: readonly SourceRange[];
}

/** How a process ended. */
export interface ExitMessageDetail {
  readonly kind: "exitMessage";
  readonly exitCode: number;
}

/** Ids under which a gateway build can reopen the failed op's inputs and mounts. */
export interface SolveDetail {
  readonly kind: "solve";
  readonly inputIds: readonly string[];
  readonly mountIds: readonly string[];
  readonly description: Readonly<Record<string, string>>;
  /** The op that failed, in protobuf's JSON; `undefined` if it was not sent. */
  readonly op: unknown;
}

/** Where in the daemon the error arose. */
export interface StackDetail {
  readonly kind: "stack";
  readonly version: string;
  readonly revision: string;
  readonly frames: readonly { readonly name: string; readonly file: string; readonly line: number }[];
}

/** A detail of any other type, undecoded. */
export interface OtherDetail {
  readonly kind: "other";
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** One typed detail of a gRPC error. */
export type StatusDetail =
  | VertexDetail
  | SourceDetail
  | ExitMessageDetail
  | SolveDetail
  | StackDetail
  | OtherDetail;

/**
 * Decodes the `grpc-status-details-bin` trailer.
 *
 * BuildKit's details are JSON inside `Any.value` (`util/grpcerrors`), most of them in Go's encoding/json
 * dialect, `errdefs.Solve` in protobuf's. What cannot be decoded is kept raw; nothing here throws.
 */
export function decodeStatusDetails(trailer: Uint8Array): readonly StatusDetail[] {
  try {
    return statusDetails(fromBinary(StatusSchema, trailer).details);
  } catch {
    return [];
  }
}

/** Decodes the details of a status, as {@link decodeStatusDetails}. */
export function statusDetails(
  details: readonly { readonly typeUrl: string; readonly value: Uint8Array }[],
): readonly StatusDetail[] {
  return details.map(({ typeUrl, value }) => decodeDetail(typeUrl, value));
}

function decodeDetail(typeUrl: string, value: Uint8Array): StatusDetail {
  const other: OtherDetail = { kind: "other", typeUrl, value };
  const name = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(value));
  } catch {
    return other;
  }
  const fields = asRecord(json);
  switch (name) {
    case "errdefs.Vertex+json":
      return { kind: "vertex", digest: asText(fields["digest"]) };
    case "errdefs.Source+json":
      return {
        kind: "source",
        filename: asText(asRecord(fields["info"])["filename"]),
        text: Buffer.from(asText(asRecord(fields["info"])["data"]), "base64").toString("utf8"),
        ranges: asList(fields["ranges"]).map(sourceRange),
      };
    case "gatewayapi.ExitMessage+json":
      return { kind: "exitMessage", exitCode: asNumber(fields["Code"] ?? fields["code"]) };
    case "errdefs.Solve+json":
      return {
        kind: "solve",
        inputIds: asList(fields["inputIDs"]).map(asText),
        mountIds: asList(fields["mountIDs"]).map(asText),
        op: fields["op"],
        description: Object.fromEntries(
          Object.entries(asRecord(fields["description"])).map(([key, text]) => [key, asText(text)]),
        ),
      };
    case "stack.Stack+json":
      return {
        kind: "stack",
        version: asText(fields["version"]),
        revision: asText(fields["revision"]),
        frames: asList(fields["frames"]).map((frame) => {
          const { Name, File, Line, name: lowerName, file, line } = asRecord(frame);
          return {
            name: asText(Name ?? lowerName),
            file: asText(File ?? file),
            line: asNumber(Line ?? line),
          };
        }),
      };
    default:
      return other;
  }
}

function sourceRange(value: unknown): SourceRange {
  const { start, end } = asRecord(value);
  const from = asRecord(start);
  const to = asRecord(end);
  return {
    startLine: asNumber(from["line"]),
    startCharacter: asNumber(from["character"]),
    endLine: asNumber(to["line"]),
    endCharacter: asNumber(to["character"]),
  };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

// Go's encoding/json writes int64 as numbers, protobuf's JSON as strings.
function asNumber(value: unknown): number {
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : 0;
}
