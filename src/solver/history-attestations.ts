import { KilnError } from "../errors.js";
import { checkOptions } from "../internal/check-options.js";
import type { Descriptor } from "../oci/descriptor.js";
import type { ImageIndex, ImageManifest } from "../oci/manifest.js";
import { isIndexType } from "../oci/media-types.js";
import { formatPlatform, normalizePlatform } from "../oci/platform.js";
import type { Connection } from "../rpc/connection.js";
import { predicateKey, referenceDigestKey, referenceTypeKey } from "./attestation-keys.js";
import { wholeBlob } from "./history-blob.js";
import { type HistoryAttestation, historyRecordFromPb } from "./history-record.js";
import { checkRef, findBuild } from "./query-history.js";

/** Indexes and manifests larger than this are refused: none is. */
const manifestLimit = 16 * 1024 * 1024;
/** No image has more platforms, nor a manifest more statements. */
const countLimit = 1000;

/**
 * All attestations of a build: those of its record, and those of the images that it exported (provenance, bills of
 * materials), by platform. `readHistoryBlob` reads them.
 *
 * Rejects with `ERR_KILN_BUILD_NOT_FOUND`, with what `readHistoryBlob` throws for an image's index or manifest
 * (`ERR_KILN_BLOB_NOT_FOUND` if the daemon has cleared it), `ERR_KILN_PROTOCOL` if that is none,
 * `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`, `RpcError`, or the signal's reason.
 */
export async function historyAttestations(
  connection: Connection,
  ref: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly HistoryAttestation[]> {
  const call = "historyAttestations()";
  checkRef(call, ref);
  checkOptions(call, options, ["signal"]);
  const { signal } = options;
  const { record, type } = await findBuild(connection, ref, signal);
  const { attestations, results } = historyRecordFromPb(record, type);
  const found = [...attestations];
  // Exporters of one build mostly make the same image.
  const indexes = new Map(results.map(({ blob }) => [blob.digest, blob]));
  for (const index of indexes.values()) {
    if (isIndexType(index.mediaType)) found.push(...(await ofIndex(connection, index, signal)));
  }
  return found;
}

async function ofIndex(
  connection: Connection,
  index: Pick<Descriptor, "digest" | "size">,
  signal: AbortSignal | undefined,
): Promise<readonly HistoryAttestation[]> {
  const { manifests } = await readJson<ImageIndex>(connection, index, "manifests", signal);
  const found: HistoryAttestation[] = [];
  for (const entry of manifests) {
    if (entry.annotations?.[referenceTypeKey] !== "attestation-manifest") continue;
    const subject = manifests.find(({ digest }) => digest === entry.annotations?.[referenceDigestKey]);
    const { layers } = await readJson<ImageManifest>(connection, entry, "layers", signal);
    for (const { mediaType, digest, size, annotations = {} } of layers) {
      found.push({
        predicateType: annotations[predicateKey] ?? "",
        platform:
          subject?.platform === undefined ? undefined : formatPlatform(normalizePlatform(subject.platform)),
        from: "image",
        blob: { mediaType, digest, size, annotations },
      });
    }
  }
  return found;
}

async function readJson<T extends ImageIndex | ImageManifest>(
  connection: Connection,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  list: keyof T & string,
  signal: AbortSignal | undefined,
): Promise<T> {
  const bytes = await wholeBlob(connection, { digest, size }, { limit: manifestLimit, signal });
  try {
    const value = JSON.parse(bytes.toString("utf8")) as T;
    const entries: unknown = value[list];
    if (Array.isArray(entries) && entries.length <= countLimit && entries.every(isDescriptor)) return value;
  } catch {
    // Said below.
  }
  throw new KilnError("ERR_KILN_PROTOCOL", `the daemon's blob ${digest} is no list of ${list}`, {
    hint: "Report it with the daemon's version.",
  });
}

function isDescriptor(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { digest, size, mediaType, platform, annotations } = value as Readonly<Record<string, unknown>>;
  if (typeof digest !== "string" || !Number.isSafeInteger(size) || typeof mediaType !== "string")
    return false;
  return (
    (annotations === undefined || isTexts(annotations)) && (platform === undefined || isPlatform(platform))
  );
}

function isPlatform(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { os, architecture, variant = "" } = value as Readonly<Record<string, unknown>>;
  return isTexts({ os, architecture, variant });
}

function isTexts(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((text) => typeof text === "string");
}
