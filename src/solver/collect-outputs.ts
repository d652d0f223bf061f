import { readFile, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import { sweepScratchDirectories } from "../internal/scratch-directory.js";
import type { OutputRecord } from "../model/build-record.js";
import type { Descriptor } from "../oci/descriptor.js";
import type { Digest } from "../oci/digest.js";
import { initOciLayout, layoutNames, updateOciIndex } from "../oci/layout-writer.js";
import { mediaTypes } from "../oci/media-types.js";
import {
  type DockerImageOutput,
  type OciLayoutOutput,
  type Output,
  outputTarget,
  type RegistryOutput,
} from "./outputs.js";
import type { SessionServices } from "./session-services.js";
import type { SolveAnswer } from "./solve.js";

/**
 * Finishes what a solve wrote and says what it is.
 *
 * An OCI layout gets its marker and its index entry here (the daemon sends blobs alone). Digests: a tar's is
 * in its own metadata, a layout's is the last blob the daemon asked to be there, a registry's and that of Docker's
 * store is the solve's answer, which holds the last image exporter's.
 */
export async function collectOutputs(
  outputs: readonly Output[],
  answer: SolveAnswer,
  session: SessionServices,
): Promise<readonly OutputRecord[]> {
  const records: OutputRecord[] = [];
  for (const [id, output] of outputs.entries()) {
    const digest = await digestOf(id, output, outputs, answer, session);
    records.push({ type: recordType(output), target: outputTarget(output), digest });
  }
  return records;
}

async function digestOf(
  id: number,
  output: Output,
  outputs: readonly Output[],
  answer: SolveAnswer,
  session: SessionServices,
): Promise<string | undefined> {
  switch (output.type) {
    case "registry":
    case "docker-image":
      return equalsLastImage(output, outputs) ? answer.exporterResponse["containerimage.digest"] : undefined;
    case "oci-layout":
      return finishLayout(output, session);
    case "oci-tar":
    case "docker-tar":
      return session.tarMetadata.get(id)?.["containerimage.digest"];
    default:
      return undefined;
  }
}

// All exporters write into one answer, in order, so the last image's digest is what it holds: that of every
// registry output that was encoded alike, when a registry output came last (`exportOrder` sees to that).
function equalsLastImage(output: StoredOutput, outputs: readonly Output[]): boolean {
  const last = outputs.findLast((one): one is StoredOutput => isStored(one));
  return last !== undefined && encoding(last) === encoding(output);
}

function encoding({ options }: StoredOutput): string {
  const { compression, compressionLevel, forceCompression, ociMediaTypes, ...rest } = options;
  const { annotations, rewriteTimestamp, ociArtifact, preferNondistLayers } = rest;
  return JSON.stringify([
    ...[compression, compressionLevel, forceCompression, ociMediaTypes],
    ...[annotations, rewriteTimestamp, ociArtifact, preferNondistLayers],
  ]);
}

type StoredOutput = RegistryOutput | DockerImageOutput;

function isStored(output: Output): output is StoredOutput {
  return output.type === "registry" || output.type === "docker-image";
}

/** The outputs as the daemon gets them: stores and registries last, the others in the order given. */
export function exportOrder(outputs: readonly Output[]): readonly Output[] {
  return [
    ...outputs.filter((output) => !isStored(output)),
    ...outputs.filter(({ type }) => type === "docker-image"),
    ...outputs.filter(({ type }) => type === "registry"),
  ];
}

async function finishLayout(output: OciLayoutOutput, session: SessionServices): Promise<string> {
  const digest = session.exported?.noted.at(-1);
  if (digest === undefined) {
    throw new KilnError("ERR_KILN_PROTOCOL", `the daemon wrote nothing into the OCI layout ${output.dir}`);
  }
  await initOciLayout(output.dir);
  const descriptor = await describeBlob(output.dir, digest);
  await updateOciIndex(output.dir, descriptor, layoutNames(output.options.name));
  const ingest = join(output.dir, "ingest");
  await sweepScratchDirectories(ingest);
  // Unless another build is writing into the layout.
  await rmdir(ingest).catch(() => {});
  return digest;
}

async function describeBlob(dir: string, digest: Digest): Promise<Descriptor> {
  const path = join(dir, "blobs", "sha256", digest.slice("sha256:".length));
  const { size } = await stat(path);
  const { mediaType } = JSON.parse(await readFile(path, "utf8")) as { mediaType?: string };
  return { mediaType: mediaType ?? mediaTypes.ociManifest, digest, size };
}

function recordType(output: Output): OutputRecord["type"] {
  switch (output.type) {
    case "oci-layout":
    case "oci-tar":
      return "oci";
    case "docker-tar":
      return "docker";
    default:
      return output.type;
  }
}
