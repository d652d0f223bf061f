/** A platform as OCI's JSON writes it. */
export interface DescriptorPlatform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string | undefined;
  readonly "os.version"?: string | undefined;
  readonly "os.features"?: readonly string[] | undefined;
}

/** A reference to a blob: what it is, its digest and size in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly platform?: DescriptorPlatform | undefined;
  readonly artifactType?: string | undefined;
  readonly urls?: readonly string[] | undefined;
}

/** Annotation keys that Kiln reads or writes. */
export const annotationKeys = {
  /** Tag (or name) of an entry in an OCI layout's index. */
  refName: "org.opencontainers.image.ref.name",
  /** Full image name of an entry, as containerd and BuildKit write it. */
  imageName: "io.containerd.image.name",
  created: "org.opencontainers.image.created",
  /** Digest of an eStargz layer's table of contents. */
  estargzTocDigest: "containerd.io/snapshot/stargz/toc.digest",
} as const;
