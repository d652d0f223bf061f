import type { Writable } from "node:stream";
import { KilnError } from "../errors.js";
import { captureCallSite } from "../internal/call-site.js";
import { checkOptions } from "../internal/check-options.js";
import { checkChoice, checkFlag, checkText } from "../llb/check-argument.js";
import { type Annotations, annotationAttrs } from "./annotations.js";

/** How layer blobs are compressed. `estargz` is gzip with a table of contents for lazy pulling. */
export type Compression = "gzip" | "zstd" | "estargz" | "uncompressed";

/** Options that every output with image layers takes; the daemon's defaults apply where one is left out. */
export interface LayerOptions {
  /** Compression of newly made layers. Default: the daemon's (gzip). */
  readonly compression?: Compression | undefined;
  /** gzip and estargz 0–9, zstd 0–22; higher is smaller and slower. Needs {@link compression}. */
  readonly compressionLevel?: number | undefined;
  /** Recompress layers that exist already (the base's) too. Default false. */
  readonly forceCompression?: boolean | undefined;
  /**
   * OCI media types instead of Docker's. Default: true for zstd, estargz and OCI outputs, else the daemon's
   * (Docker's media types before BuildKit 0.31).
   */
  readonly ociMediaTypes?: boolean | undefined;
  /** OCI annotations: a record for the manifests, or a list that says where each goes. */
  readonly annotations?: Annotations | undefined;
  /**
   * Sets the times of files and layers later than the solve's `sourceDateEpoch` to it, so that equal builds give equal
   * layers. Needs BuildKit 0.13. Default false.
   */
  readonly rewriteTimestamp?: boolean | undefined;
  /** Keeps attestations as OCI artifacts. Needs BuildKit 0.19. Default the daemon's: true from 0.31 on. */
  readonly ociArtifact?: boolean | undefined;
  /** Keeps media types and URLs of layers that may not be distributed. Default false. */
  readonly preferNondistLayers?: boolean | undefined;
}

/** Options of {@link localDir} and {@link filesTar}. */
export interface FilesOptions {
  /** A directory for each platform. Default: only where there are several. */
  readonly platformSplit?: boolean | undefined;
  /** What the names of attestation files begin with. Default nothing. */
  readonly attestationPrefix?: string | undefined;
}

/** Options of {@link localDir}. */
export interface LocalDirOptions extends FilesOptions {
  /** `delete` removes files that the result does not have. Needs BuildKit 0.31. Default `copy`. */
  readonly mode?: "copy" | "delete" | undefined;
}

/** Options of {@link registry}. */
export interface RegistryOptions extends LayerOptions {
  /** Push over plain HTTP or without checking certificates. Default false. */
  readonly insecure?: boolean | undefined;
  /** Push by digest only, without moving the tag. Default false. */
  readonly pushByDigest?: boolean | undefined;
}

/** Options of {@link ociLayout} and {@link ociTar}. */
export interface OciOptions extends LayerOptions {
  /** Name recorded in the index (`org.opencontainers.image.ref.name` and containerd's annotation). */
  readonly name?: string | undefined;
}

/** Options of {@link dockerTar}. */
export interface DockerTarOptions extends LayerOptions {
  /** Name under which `docker load` stores the image. */
  readonly name?: string | undefined;
}

/**
 * Where a tar goes: a file (written under a temporary name and renamed when whole), or a stream to be opened. For
 * `ociTar` and `dockerTar`, opening none says that the tar is there already: nothing is sent, and the build succeeds.
 */
export type FileTarget = string | (() => Writable | undefined | Promise<Writable | undefined>);

/** An image pushed to a registry. Made by {@link registry}. */
export interface RegistryOutput {
  readonly type: "registry";
  readonly names: readonly string[];
  readonly options: RegistryOptions;
}

/** An image in Docker's own store. Made by {@link dockerImage}. */
export interface DockerImageOutput {
  readonly type: "docker-image";
  readonly names: readonly string[];
  readonly options: LayerOptions;
}

/** An OCI image layout directory. Made by {@link ociLayout}. */
export interface OciLayoutOutput {
  readonly type: "oci-layout";
  readonly dir: string;
  readonly options: OciOptions;
}

/** An OCI image layout in a tar. Made by {@link ociTar}. */
export interface OciTarOutput {
  readonly type: "oci-tar";
  readonly target: FileTarget;
  readonly options: OciOptions;
}

/** A tar for `docker load`. Made by {@link dockerTar}. */
export interface DockerTarOutput {
  readonly type: "docker-tar";
  readonly target: FileTarget;
  readonly options: DockerTarOptions;
}

/** The image's files in a directory. Made by {@link localDir}. */
export interface LocalOutput {
  readonly type: "local";
  readonly dir: string;
  readonly options: LocalDirOptions;
}

/** The image's files in a tar. Made by {@link filesTar}. */
export interface TarOutput {
  readonly type: "tar";
  readonly target: FileTarget;
  readonly options: FilesOptions;
}

/** Something a build writes. */
export type Output =
  | RegistryOutput
  | DockerImageOutput
  | OciLayoutOutput
  | OciTarOutput
  | DockerTarOutput
  | LocalOutput
  | TarOutput;

const layerKeys = [
  ...["compression", "compressionLevel", "forceCompression", "ociMediaTypes", "annotations"],
  ...["rewriteTimestamp", "ociArtifact", "preferNondistLayers"],
];

/**
 * Pushes the image to a registry under one or more names.
 *
 * The daemon pushes, with credentials from the session's auth; nothing is left in its image store. Throws
 * `ERR_KILN_INVALID_ARGUMENT` for a wrong name, level or combination of options.
 */
export function registry(name: string | readonly string[], options: RegistryOptions = {}): RegistryOutput {
  checkOptions("registry", options, [...layerKeys, "insecure", "pushByDigest"]);
  checkLayerOptions("registry", options);
  return { type: "registry", names: checkNames("registry", name), options: { ...options } };
}

/**
 * Puts the image into the store of the Docker that builds it, as `docker build` does, under one or more names.
 *
 * For `docker://` daemons, those with the classic image store included: that takes no layer options, as it keeps no
 * compressed layers. Throws `ERR_KILN_INVALID_ARGUMENT` for a wrong name, level or combination of options.
 */
export function dockerImage(name: string | readonly string[], options: LayerOptions = {}): DockerImageOutput {
  checkOptions("dockerImage", options, layerKeys);
  checkLayerOptions("dockerImage", options);
  return { type: "docker-image", names: checkNames("dockerImage", name), options: { ...options } };
}

function checkNames(call: string, name: string | readonly string[]): readonly string[] {
  const names = typeof name === "string" ? [name] : [...name];
  if (names.length === 0 || names.some((one) => typeof one !== "string" || one === "" || /[\s,]/.test(one))) {
    throw invalid(`${call}: needs one image name or a list of them, without commas or blanks`, {
      hint: `Write ${call}("localhost:5000/app:1").`,
    });
  }
  return names;
}

/**
 * Writes an OCI image layout directory, keeping what is in it: blobs that are there already are not sent
 * again, other entries of its index stay.
 *
 * At most one a build (the daemon addresses a session's one export store); {@link ociTar} has no such limit.
 */
export function ociLayout(dir: string, options: OciOptions = {}): OciLayoutOutput {
  checkOptions("ociLayout", options, [...layerKeys, "name"]);
  checkLayerOptions("ociLayout", options);
  checkOciTypes("ociLayout", options);
  return { type: "oci-layout", dir: checkPath("ociLayout", dir), options: { ...options } };
}

/**
 * Writes an OCI image layout as one tar, to a file or a stream.
 *
 * For one file a build, unless a layout directory is written too, the daemon sends the layout and this side packs it
 * beside the file's place, which has to have room for it twice: that is three times as fast. Without a `name` the image
 * is then called `latest` in the layout's index, as in {@link ociLayout}'s.
 */
export function ociTar(target: FileTarget, options: OciOptions = {}): OciTarOutput {
  checkOptions("ociTar", options, [...layerKeys, "name"]);
  checkLayerOptions("ociTar", options);
  checkOciTypes("ociTar", options);
  return { type: "oci-tar", target: checkTarget("ociTar", target), options: { ...options } };
}

/** Writes a tar that `docker load` reads. estargz is refused: `docker load` would lose its verification data. */
export function dockerTar(target: FileTarget, options: DockerTarOptions = {}): DockerTarOutput {
  checkOptions("dockerTar", options, [...layerKeys, "name"]);
  checkLayerOptions("dockerTar", options);
  if (options.compression === "estargz") {
    throw invalid("dockerTar: estargz is for registries and OCI layouts", {
      hint: "Use registry(…) or ociLayout(…) with estargz, or another compression here.",
    });
  }
  return { type: "docker-tar", target: checkTarget("dockerTar", target), options: { ...options } };
}

/** Writes the image's files into a directory. Existing files of other names stay; each file is replaced whole. */
export function localDir(dir: string, options: LocalDirOptions = {}): LocalOutput {
  checkOptions("localDir", options, ["platformSplit", "attestationPrefix", "mode"]);
  checkChoice("localDir", "mode", options.mode ?? "copy", ["copy", "delete"]);
  return { type: "local", dir: checkPath("localDir", dir), options: checkFilesOptions("localDir", options) };
}

/** Writes the image's files as one tar, to a file or a stream. */
export function filesTar(target: FileTarget, options: FilesOptions = {}): TarOutput {
  checkOptions("filesTar", options, ["platformSplit", "attestationPrefix"]);
  return {
    type: "tar",
    target: checkTarget("filesTar", target),
    options: checkFilesOptions("filesTar", options),
  };
}

function checkFilesOptions<T extends FilesOptions>(call: string, options: T): T {
  checkFlag(call, "platformSplit", options.platformSplit);
  if (options.attestationPrefix !== undefined)
    checkText(call, "attestationPrefix", options.attestationPrefix);
  return { ...options };
}

/** What the output is called in messages and records: the image name, directory or file. */
export function outputTarget(output: Output): string {
  if (output.type === "registry" || output.type === "docker-image") return output.names.join(",");
  if (output.type === "oci-layout" || output.type === "local") return output.dir;
  return typeof output.target === "string" ? output.target : "(stream)";
}

const maximumLevel: Readonly<Record<Compression, number>> = {
  gzip: 9,
  estargz: 9,
  zstd: 22,
  uncompressed: 0,
};

function checkLayerOptions(call: string, options: LayerOptions): void {
  if (options.annotations !== undefined) annotationAttrs(call, options.annotations);
  for (const key of ["rewriteTimestamp", "ociArtifact", "preferNondistLayers"] as const) {
    checkFlag(call, key, options[key]);
  }
  const { compression, compressionLevel, ociMediaTypes } = options;
  if (compression !== undefined && !Object.hasOwn(maximumLevel, compression)) {
    throw invalid(`${call}: unknown compression ${JSON.stringify(compression)}`, {
      hint: `Use one of: ${Object.keys(maximumLevel).join(", ")}.`,
    });
  }
  if (compressionLevel !== undefined) {
    if (compression === undefined || compression === "uncompressed") {
      throw invalid(`${call}: compressionLevel needs a compression that has levels`, {
        hint: 'Add compression: "gzip", "zstd" or "estargz".',
      });
    }
    const limit = maximumLevel[compression];
    if (!Number.isInteger(compressionLevel) || compressionLevel < 0 || compressionLevel > limit) {
      throw invalid(
        `${call}: compressionLevel ${compressionLevel} is not in 0–${limit} for ${compression}`,
        {},
      );
    }
  }
  if (ociMediaTypes === false && (compression === "estargz" || compression === "zstd")) {
    throw invalid(`${call}: ${compression} layers need OCI media types`, {
      hint: "Leave ociMediaTypes out, or choose gzip.",
    });
  }
}

function checkOciTypes(call: string, options: LayerOptions): void {
  if (options.ociMediaTypes === false) {
    throw invalid(`${call}: an OCI layout has OCI media types`, { hint: "Use dockerTar(…) for Docker's." });
  }
}

function checkPath(call: string, path: string): string {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw invalid(`${call}: needs a path`, { hint: `Write ${call}("./out").` });
  }
  return path;
}

function checkTarget(call: string, target: FileTarget): FileTarget {
  return typeof target === "function" ? target : checkPath(call, target);
}

function invalid(message: string, options: { readonly hint?: string }): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", message, { ...options, location: captureCallSite() });
}
