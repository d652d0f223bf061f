import { create } from "@bufbuild/protobuf";
import {
  type BuildHistoryRecord,
  DescriptorSchema,
  type Descriptor as PbDescriptor,
} from "../gen/moby/buildkit/v1/control_pb.js";
import type { Descriptor } from "../oci/descriptor.js";
import { sha256 } from "../oci/digest.js";
import type { LayoutBlob } from "../oci/layout-entries.js";
import { mediaTypes } from "../oci/media-types.js";
import type { Connection } from "../rpc/connection.js";
import { readHistoryBlob, wholeBlob } from "./history-blob.js";
import { resultBlobs, resultInfos } from "./history-record.js";
import { historyRecordJson } from "./history-record-json.js";
import { withoutSecrets } from "./trace-secrets.js";

// As `docker buildx history export` writes them (buildx `util/desktop/bundle`).
const recordMediaType = "application/vnd.buildkit.historyrecord.v0";
const originalTypeKey = "vnd.export-build.descriptor.mediatype";
const refKey = "vnd.buildkit.history.reference";

/** A trace is held in memory while it is cleaned; one of some thousand steps has a few MiB. */
const traceLimit = 128 * 1024 * 1024;

/** One or more builds as an OCI layout holds them. */
export interface HistoryBundle {
  /** A manifest for one build, an index for several. */
  readonly root: Descriptor;
  readonly blobs: readonly LayoutBlob[];
}

/**
 * Lays out builds as a bundle: a manifest each, whose config is the record and whose layers are trace, log, attestations,
 * results (their manifests alone, as plain JSON so that nobody looks for the image's layers) and error.
 *
 * Reads the traces, to take access keys out of them; everything else is read when the blobs are.
 */
export async function historyBundle(
  connection: Connection,
  records: readonly BuildHistoryRecord[],
  options: { readonly defaultPlatform: string; readonly signal?: AbortSignal | undefined },
): Promise<HistoryBundle> {
  const blobs: LayoutBlob[] = [];
  const context: Context = { connection, blobs, ...options };
  const manifests: Descriptor[] = [];
  for (const record of records) {
    const manifest = await addRecord(context, record);
    manifests.push(manifest);
  }
  const [first, second] = manifests;
  if (first !== undefined && second === undefined) return { root: first, blobs };
  const entries = manifests.map((manifest, index) => ({
    ...manifest,
    annotations: { [refKey]: records[index]?.Ref ?? "" },
  }));
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries };
  return { root: addJson(context, mediaTypes.ociIndex, index), blobs };
}

interface Context {
  readonly connection: Connection;
  readonly blobs: LayoutBlob[];
  readonly defaultPlatform: string;
  readonly signal?: AbortSignal | undefined;
}

async function addRecord(context: Context, record: BuildHistoryRecord): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  const seen = new Set<string>();
  const add = (
    blob: PbDescriptor | undefined,
    as: (descriptor: Descriptor) => Descriptor = (it) => it,
  ): void => {
    if (blob === undefined || seen.has(blob.digest)) return;
    seen.add(blob.digest);
    layers.push(as(addBlob(context, blob)));
  };
  const addResults = (whole: boolean): void => {
    for (const [platform, info] of resultInfos(record)) {
      if ((platform === undefined) !== whole) continue;
      for (const blob of info.Attestations) add(blob);
      for (const [, blob] of resultBlobs(info)) add(blob, asPlainJson);
    }
  };
  const trace = record.trace === undefined ? undefined : await addTrace(context, record.trace);
  if (trace !== undefined) layers.push(toDescriptor(trace));
  add(record.logs);
  addResults(true);
  add(record.externalError);
  addResults(false);
  const { defaultPlatform } = context;
  const config = addJson(context, recordMediaType, historyRecordJson(record, { trace, defaultPlatform }));
  return addJson(context, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers,
  });
}

function asPlainJson(blob: Descriptor): Descriptor {
  return {
    ...blob,
    mediaType: "application/json",
    annotations: { ...blob.annotations, [originalTypeKey]: blob.mediaType },
  };
}

async function addTrace(context: Context, blob: PbDescriptor): Promise<PbDescriptor> {
  const { connection, blobs, signal } = context;
  const { digest, size } = blob;
  const read = await wholeBlob(connection, { digest, size: Number(size) }, { limit: traceLimit, signal });
  const bytes = Buffer.from(withoutSecrets(read.toString("utf8")));
  const clean = { digest: sha256(bytes), size: bytes.length };
  blobs.push({ ...clean, read: () => [bytes] });
  return create(DescriptorSchema, { ...clean, size: BigInt(clean.size), mediaType: blob.mediaType });
}

function addBlob({ connection, blobs, signal }: Context, blob: PbDescriptor): Descriptor {
  const descriptor = toDescriptor(blob);
  const { digest, size } = descriptor;
  blobs.push({ digest, size, read: () => readHistoryBlob(connection, { digest, size }, { signal }) });
  return descriptor;
}

function addJson({ blobs }: Context, mediaType: string, value: object): Descriptor {
  const bytes = Buffer.from(JSON.stringify(value, undefined, 2));
  const digest = sha256(bytes);
  blobs.push({ digest, size: bytes.length, read: () => [bytes] });
  return { mediaType, digest, size: bytes.length };
}

function toDescriptor({ mediaType, digest, size, annotations }: PbDescriptor): Descriptor {
  const has = Object.keys(annotations).length > 0;
  return { mediaType, digest, size: Number(size), ...(has ? { annotations } : {}) };
}
