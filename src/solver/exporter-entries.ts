import type { ImageConfig } from "../oci/image-config.js";
import { annotationAttrs } from "./annotations.js";
import type { FilesOptions, LayerOptions, Output } from "./outputs.js";

/** One entry of `SolveRequest.Exporters`: its position is the exporter id that the session hears. */
export interface ExporterEntry {
  readonly type: "image" | "moby" | "oci" | "docker" | "local" | "tar";
  readonly attrs: Readonly<Record<string, string>>;
}

/** What an exporter is told about the image beyond its layers. */
export interface ExportedImage {
  /** The image config; without one the daemon makes an empty config of its own. */
  readonly config: ImageConfig | undefined;
  /** Seconds since 1970 to which the config's times are clamped. */
  readonly sourceDateEpoch: number | undefined;
}

/**
 * Exporter types and attributes for a list of outputs.
 *
 * Attribute names are BuildKit's (`exporter/containerimage/exptypes`); `containerimage.config` is how a
 * solve without a frontend sets the image config.
 */
export function exporterEntries(outputs: readonly Output[], image: ExportedImage): readonly ExporterEntry[] {
  return outputs.map((output): ExporterEntry => {
    switch (output.type) {
      case "registry":
        return {
          type: "image",
          attrs: {
            ...imageAttrs(output.options, image),
            name: output.names.join(","),
            push: "true",
            store: "false",
            ...(output.options.insecure === true ? { "registry.insecure": "true" } : {}),
            ...(output.options.pushByDigest === true ? { "push-by-digest": "true" } : {}),
          },
        };
      case "docker-image":
        return {
          type: "moby",
          attrs: { ...imageAttrs(output.options, image), name: output.names.join(",") },
        };
      case "oci-layout":
        return { type: "oci", attrs: { ...namedAttrs(output.options, image), tar: "false" } };
      case "oci-tar":
        return { type: "oci", attrs: namedAttrs(output.options, image) };
      case "docker-tar":
        return { type: "docker", attrs: namedAttrs(output.options, image) };
      case "local":
        return {
          type: "local",
          attrs: {
            ...filesAttrs(output.options, image),
            ...(output.options.mode === "delete" ? { mode: "delete" } : {}),
          },
        };
      case "tar":
        return { type: "tar", attrs: filesAttrs(output.options, image) };
      default:
        return output satisfies never;
    }
  });
}

function namedAttrs(options: LayerOptions & { readonly name?: string | undefined }, image: ExportedImage) {
  const attrs = imageAttrs(options, image);
  return options.name === undefined ? attrs : { ...attrs, name: options.name };
}

function imageAttrs(options: LayerOptions, image: ExportedImage): Record<string, string> {
  const attrs: Record<string, string> = epochAttrs(image);
  if (image.config !== undefined) attrs["containerimage.config"] = JSON.stringify(image.config);
  if (options.compression !== undefined) attrs["compression"] = options.compression;
  if (options.compressionLevel !== undefined) attrs["compression-level"] = String(options.compressionLevel);
  if (options.forceCompression === true) attrs["force-compression"] = "true";
  if (options.annotations !== undefined) {
    Object.assign(attrs, annotationAttrs("annotations", options.annotations));
  }
  if (options.rewriteTimestamp === true) attrs["rewrite-timestamp"] = "true";
  if (options.ociArtifact !== undefined) attrs["oci-artifact"] = String(options.ociArtifact);
  if (options.preferNondistLayers === true) attrs["prefer-nondist-layers"] = "true";
  const needsOci = options.compression === "estargz" || options.compression === "zstd";
  const ociMediaTypes = options.ociMediaTypes ?? (needsOci ? true : undefined);
  if (ociMediaTypes !== undefined) attrs["oci-mediatypes"] = String(ociMediaTypes);
  return attrs;
}

function filesAttrs(options: FilesOptions, image: ExportedImage): Record<string, string> {
  const attrs = epochAttrs(image);
  if (options.platformSplit !== undefined) attrs["platform-split"] = String(options.platformSplit);
  if (options.attestationPrefix !== undefined) attrs["attestation-prefix"] = options.attestationPrefix;
  return attrs;
}

function epochAttrs(image: ExportedImage): Record<string, string> {
  return image.sourceDateEpoch === undefined ? {} : { "source-date-epoch": String(image.sourceDateEpoch) };
}
