import { join } from "node:path";
import { Readable } from "node:stream";
import type { OutputRecord } from "../../model/build-record.js";
import type { DaemonFacts } from "../../model/daemon.js";
import type { Plan } from "../../model/plan.js";
import { isBlobWhole } from "../../oci/blob-file.js";
import type { Descriptor } from "../../oci/descriptor.js";
import { digestHex, parseDigest } from "../../oci/digest.js";
import type { ImageConfig } from "../../oci/image-config.js";
import { imageOfLayers, type MadeImage } from "../../oci/image-of-layers.js";
import { copyBlob, initOciLayout, layoutNames, updateOciIndex, writeBlob } from "../../oci/layout-writer.js";
import { parseReference } from "../../oci/reference.js";
import { isFrom } from "../../solver/docker-versions.js";
import type { OciLayoutOutput, Output, RegistryOutput } from "../../solver/outputs.js";
import type { SolveSettings } from "../../solver/solve-settings.js";
import type { BlobVersions } from "../outputs/layout-blobs.js";
import type { RegistryAccess } from "../registries/registry-access.js";
import { createdTime, type LayeredImage } from "./layered-trees.js";

/** What {@link appendTree} works with. */
export interface AppendOptions {
  /** The last image that a tree was put on top of. */
  readonly image: LayeredImage | undefined;
  readonly outputs: readonly Output[];
  readonly facts: DaemonFacts;
  /** See {@link registriesOf}. */
  readonly registries: RegistryAccess | undefined;
  /** Blobs of the layout among the outputs that are known to be whole. */
  readonly blobVersions: BlobVersions;
  readonly sourceDateEpoch: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** A tree that was put on top of an image without a solve. */
export interface AppendedTree {
  readonly outputs: readonly OutputRecord[];
  /** The chain's step that copies the tree. */
  readonly step: number;
  /** Whether layers had to be made. */
  readonly ran: boolean;
}

/**
 * Puts an image that ends with a tree where the build's outputs want it, without a solve: the layers below are there
 * already, the tree's are put beside them.
 *
 * `undefined` if that cannot be done: something runs after the tree, an output is of another kind or wants its layers
 * another way, or a layer below is not there yet. Rejects with what writing and pushing reject with.
 */
export async function appendTree(plan: Plan, options: AppendOptions): Promise<AppendedTree | undefined> {
  const { image, outputs, facts } = options;
  // The source that the image is, and what names the result.
  if (image === undefined || plan.definition?.ops.length !== 2 || outputs.length === 0) return undefined;
  if (plan.copies.at(-1)?.id !== image.question.id) return undefined;
  const targets: Target[] = [];
  for (const output of outputs) {
    const target = targetOf(output, options);
    if (target === undefined || !(await target.has(image))) return undefined;
    targets.push(target);
  }
  const records: OutputRecord[] = [];
  for (const target of targets) {
    const made = finishedImage(plan.config, image, {
      created: createdTime(options.sourceDateEpoch),
      epoch: options.sourceDateEpoch,
      types: target.types(facts),
    });
    records.push(await target.put(made, image));
  }
  return { outputs: records, step: image.question.step, ran: image.packed.packedShards > 0 };
}

/** Whether outputs are of the kinds that {@link appendTree} writes. */
export function canAppendTo(outputs: readonly Output[], registries: RegistryAccess | undefined): boolean {
  return outputs.length > 0 && outputs.every((output) => canAppend(output, registries));
}

/** The way to registries that a build pushes by; `undefined` = it has credentials of its own: then the daemon pushes. */
export function registriesOf(
  { registries }: { readonly registries: RegistryAccess },
  { credentials }: SolveSettings,
): RegistryAccess | undefined {
  return credentials === undefined ? registries : undefined;
}

interface Target {
  readonly types: (facts: DaemonFacts) => "oci" | "docker";
  /** Whether the layers below the tree are there. */
  readonly has: (image: LayeredImage) => Promise<boolean>;
  readonly put: (made: MadeImage, image: LayeredImage) => Promise<OutputRecord>;
}

function targetOf(output: Output, options: AppendOptions): Target | undefined {
  if (!canAppend(output, options.registries)) return undefined;
  if (output.type === "oci-layout") return layoutTarget(output, options);
  return options.registries && registryTarget(output, options.registries, options.signal);
}

function canAppend(
  output: Output,
  registries: RegistryAccess | undefined,
): output is OciLayoutOutput | RegistryOutput {
  if (output.type !== "oci-layout" && (output.type !== "registry" || registries === undefined)) return false;
  const { compression, compressionLevel, forceCompression, annotations, ...others } = output.options;
  const { rewriteTimestamp, ociArtifact, preferNondistLayers } = others;
  if (compression !== undefined && compression !== "gzip") return false;
  if (compressionLevel !== undefined || forceCompression === true || annotations !== undefined) return false;
  return rewriteTimestamp !== true && ociArtifact === undefined && preferNondistLayers !== true;
}

function layoutTarget(
  { dir, options: { name } }: OciLayoutOutput,
  { blobVersions, signal }: AppendOptions,
): Target {
  const pathOf = (digest: string): string => join(dir, "blobs", "sha256", digestHex(parseDigest(digest)));
  const isThere = ({ digest, size }: Pick<Descriptor, "digest" | "size">): Promise<boolean> =>
    isBlobWhole(pathOf(digest), digest, { size, version: blobVersions.get(digest), signal });
  return {
    types: () => "oci",
    async has({ base }) {
      for (const layer of base.manifest.layers) if (!(await isThere(layer))) return false;
      return true;
    },
    async put({ config, manifest }, { packed }) {
      await initOciLayout(dir);
      for (const layer of packed.layers) {
        if (await isThere(layer)) continue;
        await copyBlob(dir, layer.digest, await packed.openShard(layer.digest, signal));
      }
      await writeBlob(dir, config.bytes);
      await writeBlob(dir, manifest.bytes);
      await updateOciIndex(dir, manifest.descriptor, layoutNames(name));
      return { type: "oci", target: dir, digest: manifest.descriptor.digest };
    },
  };
}

function registryTarget(
  { names, options }: RegistryOutput,
  registries: RegistryAccess,
  signal: AbortSignal | undefined,
): Target {
  const references = names.map((name) => parseReference(name));
  const clientOf = ({ domain, path }: { readonly domain: string; readonly path: string }) =>
    registries.client(`${domain}/${path}`, { insecure: options.insecure });
  return {
    // As the daemon would have it: Docker's media types before BuildKit 0.31.
    types: ({ buildkitVersion }) => {
      const byDefault = isFrom(buildkitVersion, "0.31") === true;
      return (options.ociMediaTypes ?? byDefault) ? "oci" : "docker";
    },
    async has({ base }) {
      for (const reference of references) {
        const client = clientOf(reference);
        const found = await Promise.all(
          base.manifest.layers.map(({ digest }) =>
            client.headBlob(digest, { signal }).catch(() => undefined),
          ),
        );
        if (found.includes(undefined)) return false;
      }
      return true;
    },
    async put({ config, manifest }, { packed }) {
      for (const reference of references) {
        const client = clientOf(reference);
        await Promise.all(
          packed.layers.map(async ({ digest, size }) => {
            if ((await client.headBlob(digest, { signal })) !== undefined) return;
            await client.uploadBlob({ digest, size }, await packed.openShard(digest, signal), {
              signal,
            });
          }),
        );
        await client.uploadBlob(config.descriptor, () => Readable.from([config.bytes]), { signal });
        const { digest, mediaType } = manifest.descriptor;
        const at = options.pushByDigest === true ? digest : (reference.tag ?? "latest");
        await client.putManifest(at, mediaType, manifest.bytes, { signal });
      }
      return { type: "registry", target: names.join(","), digest: manifest.descriptor.digest };
    },
  };
}

/** The image with its final config; times are those of the image below, and one for what was added here. */
function finishedImage(
  config: ImageConfig,
  { base, packed }: LayeredImage,
  how: { readonly created: string; readonly epoch: number | undefined; readonly types: "oci" | "docker" },
): MadeImage {
  const below = base.config.history ?? [];
  return imageOfLayers(
    {
      ...config,
      created: how.epoch === undefined ? (base.config.created ?? how.created) : how.created,
      rootfs: {
        type: "layers",
        diff_ids: [...(base.config.rootfs?.diff_ids ?? []), ...packed.layers.map(({ diffId }) => diffId)],
      },
      history: (config.history ?? []).map((entry, index) => ({
        ...entry,
        created: entry.created ?? below[index]?.created ?? how.created,
      })),
    },
    [...base.manifest.layers, ...packed.layers],
    how.types,
  );
}
