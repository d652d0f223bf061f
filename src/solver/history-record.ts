import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  type BuildResultInfo,
  type Descriptor as PbDescriptor,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { grpcStatusNames } from "../rpc/rpc-error.js";
import { predicateKey } from "./attestation-keys.js";

/** A blob that the daemon keeps for a build; `Client.readHistoryBlob` reads it. */
export interface HistoryBlob {
  readonly mediaType: string;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What an exporter made: the blob is the image's manifest or index. */
export interface HistoryResult {
  /** Position of the exporter in the request, from 0. */
  readonly exporter: number;
  readonly blob: HistoryBlob;
}

/** A statement about a build or its result, e.g. its provenance. */
export interface HistoryAttestation {
  /** E.g. `https://slsa.dev/provenance/v0.2` or `https://spdx.dev/Document`; empty if it is not told. */
  readonly predicateType: string;
  /** E.g. `linux/arm64`; `undefined` for that of a build of one platform. */
  readonly platform: string | undefined;
  /**
   * `record`: the daemon made it for its history, and the blob is the predicate alone. `image`: it is part of the image,
   * and the blob is a whole in-toto statement; its daemon keeps that no longer than the image itself, so that of an image
   * that was only exported it soon has it no more.
   */
  readonly from: "record" | "image";
  readonly blob: HistoryBlob;
}

/** One build in a daemon's history. */
export interface HistoryRecord {
  /** The build's id, chosen by the client that made it. */
  readonly ref: string;
  readonly state: "running" | "complete";
  /** Name of the frontend, e.g. `dockerfile.v0`; empty for a definition of the client's own. */
  readonly frontend: string;
  readonly frontendAttrs: Readonly<Record<string, string>>;
  /** Exporter types in the order of the request, e.g. `image`, `local`. Docker 26 (BuildKit 0.13) records none. */
  readonly exporters: readonly string[];
  /** The daemon's raw answer, e.g. `containerimage.digest`. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  readonly createdAt: Date | undefined;
  readonly completedAt: Date | undefined;
  /**
   * Why the build failed, with the name of the gRPC status; `undefined` = it did not, or it still runs.
   * `Client.historyError` has all that is known of it.
   */
  readonly error: { readonly message: string; readonly status: string } | undefined;
  /** Kept when the daemon clears its history. */
  readonly pinned: boolean;
  /** All zero where the daemon does not count (before BuildKit 0.12). */
  readonly steps: { readonly total: number; readonly cached: number; readonly completed: number };
  /** 0 where the daemon does not count (before BuildKit 0.16). */
  readonly warnings: number;
  /** The build's progress and output, in the daemon's own form: `Client.follow` gives it as events. */
  readonly logs: HistoryBlob | undefined;
  /** OpenTelemetry spans as JSON, one after the other. Comes some seconds after the build's end, if at all. */
  readonly trace: HistoryBlob | undefined;
  /** The error as a `google.rpc.Status` with details. BuildKit 0.15; older daemons keep the details in the record. */
  readonly externalError: HistoryBlob | undefined;
  /** Of exporters that make images alone. */
  readonly results: readonly HistoryResult[];
  /** Those of the record alone, always with their provenance; `Client.historyAttestations` has the image's, too. */
  readonly attestations: readonly HistoryAttestation[];
}

/** The record as the daemon tells it. */
export function historyRecordFromPb(record: BuildHistoryRecord, type: BuildHistoryEventType): HistoryRecord {
  return {
    ref: record.Ref,
    // A running build's record has its time of completion before it has its error and results.
    state: type === BuildHistoryEventType.COMPLETE ? "complete" : "running",
    frontend: record.Frontend,
    frontendAttrs: record.FrontendAttrs,
    exporters: record.Exporters.map((exporter) => exporter.Type),
    exporterResponse: record.ExporterResponse,
    createdAt: dateOf(record.CreatedAt),
    completedAt: dateOf(record.CompletedAt),
    error: errorOf(record),
    pinned: record.pinned,
    steps: {
      total: record.numTotalSteps,
      cached: record.numCachedSteps,
      completed: record.numCompletedSteps,
    },
    warnings: record.numWarnings,
    logs: blobOf(record.logs),
    trace: blobOf(record.trace),
    externalError: blobOf(record.externalError),
    results: resultInfos(record).flatMap(([, info]) => resultsOf(info)),
    attestations: resultInfos(record).flatMap(([platform, info]) => attestationsOf(info, platform)),
  };
}

/** All that a record says of results: of the build as a whole, then by platform. */
export function resultInfos(
  record: BuildHistoryRecord,
): readonly (readonly [platform: string | undefined, info: BuildResultInfo])[] {
  const whole = record.Result === undefined ? [] : [[undefined, record.Result] as const];
  return [...whole, ...Object.entries(record.Results).sort(([a], [b]) => (a < b ? -1 : 1))];
}

/** The exporters' blobs in a record's result, by exporter; daemons before 0.13 tell of one alone. */
export function resultBlobs(
  info: BuildResultInfo,
): readonly (readonly [exporter: number, blob: PbDescriptor])[] {
  const all = Object.entries(info.Results).map(([exporter, blob]) => [Number(exporter), blob] as const);
  if (all.length > 0 || info.ResultDeprecated === undefined) return all.sort(([a], [b]) => a - b);
  return [[0, info.ResultDeprecated]];
}

function resultsOf(info: BuildResultInfo): readonly HistoryResult[] {
  return resultBlobs(info).map(([exporter, blob]) => ({ exporter, blob: toBlob(blob) }));
}

function attestationsOf(info: BuildResultInfo, platform: string | undefined): readonly HistoryAttestation[] {
  return info.Attestations.map((blob) => ({
    predicateType: blob.annotations[predicateKey] ?? "",
    platform,
    from: "record",
    blob: toBlob(blob),
  }));
}

function errorOf({ error }: BuildHistoryRecord): HistoryRecord["error"] {
  if (error === undefined) return undefined;
  return { message: error.message, status: grpcStatusNames[error.code] ?? `STATUS_${error.code}` };
}

function blobOf(blob: PbDescriptor | undefined): HistoryBlob | undefined {
  return blob === undefined ? undefined : toBlob(blob);
}

function toBlob({ mediaType, digest, size, annotations }: PbDescriptor): HistoryBlob {
  return { mediaType, digest, size: Number(size), annotations };
}

function dateOf(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}
